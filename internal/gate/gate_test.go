package gate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
)

const stuck = time.Minute // no test waits that long unless it hangs

func TestMain(m *testing.M) {
	if boxes := os.Getenv("GATE_TEST_SENDER"); boxes != "" {
		sender(boxes, os.Getenv("GATE_TEST_KEY"))
		return
	}
	os.Exit(m.Run())
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), stuck, errors.New("the test hangs"))
	t.Cleanup(cancel)
	return ctx
}

func makeBox(t *testing.T, boxes, key string) string {
	box := filepath.Join(boxes, key)
	require.NoError(t, os.Mkdir(box, 0o700))
	require.NoError(t, Make(box))
	return box
}

func keep(t *testing.T, box string) *Keeper {
	k, err := Keep(box, filepath.Dir(box))
	require.NoError(t, err)
	t.Cleanup(func() { k.Close() })
	return k
}

func visit(t *testing.T, box, own string) *Visitor {
	l, err := OpenLobby(own, filepath.Base(own))
	require.NoError(t, err)
	v, err := Visit(box, l)
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	t.Cleanup(func() { l.Close() })
	return v
}

// waiting starts an Admit that waits, and returns when its name is with the
// gate.
func waiting(ctx context.Context, t *testing.T, v *Visitor, msgs, bytes int) <-chan error {
	v.words.Store(wordWant, 0) // of one that waited before
	done := make(chan error, 1)
	go func() { done <- v.Admit(ctx, msgs, bytes, true) }()
	for v.words.Load(wordWant) == 0 {
		select {
		case err := <-done:
			done <- err
			return done
		case <-time.After(time.Millisecond):
		}
	}
	return done
}

func result(t *testing.T, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-time.After(stuck):
		t.Fatal("nobody woke the sender")
		return nil
	}
}

func TestFullMailboxAdmitsAgainWhenFreed(t *testing.T) {
	boxes := t.TempDir()
	box := makeBox(t, boxes, "bob")
	k, v := keep(t, box), visit(t, box, makeBox(t, boxes, "al"))
	k.Open(1)
	for range 3 {
		require.NoError(t, v.Admit(t.Context(), 3, 100, false))
		v.Accepted(1, 10)
	}
	require.ErrorIs(t, v.Admit(t.Context(), 3, 100, false), protocol.ErrFull)
	require.ErrorIs(t, v.Admit(t.Context(), 9, 30, false), protocol.ErrFull)
	done := waiting(within(t), t, v, 3, 100)
	k.Freed(1, 10)
	require.NoError(t, result(t, done))
	msgs, bytes := k.Pending()
	require.Equal(t, []int{2, 20}, []int{msgs, bytes})
}

func TestWaiterOutlivesSuspensionAndItsKeeper(t *testing.T) {
	boxes := t.TempDir()
	box := makeBox(t, boxes, "bob")
	v := visit(t, box, makeBox(t, boxes, "al"))
	k, err := Keep(box, boxes)
	require.NoError(t, err)
	k.Open(1)
	v.Accepted(1, 1)
	done := waiting(within(t), t, v, 1, 100)
	k.Suspend(time.Time{})
	k.Close()

	k = keep(t, box)
	k.Open(2)
	select {
	case err := <-done:
		t.Fatalf("the sender stopped waiting: %v", err)
	default:
	}
	k.Freed(1, 1)
	require.NoError(t, result(t, done))
}

func TestSuccessorWakesWhomAKilledKeeperDidNot(t *testing.T) {
	boxes := t.TempDir()
	box := makeBox(t, boxes, "bob")
	k, v := keep(t, box), visit(t, box, makeBox(t, boxes, "al"))
	k.Open(1)
	v.Accepted(1, 1)
	done := waiting(within(t), t, v, 1, 100)
	// Killed after it had taken the word and freed the place, before it rang.
	k.words.Store(wordWant, 0)
	k.words.Add(wordOutMsgs, 1)
	k.words.Add(wordOutBytes, 1)
	keep(t, box).Open(2)
	require.NoError(t, result(t, done))
}

// A keeper may be killed between taking a waiter's name and ringing.
func TestSuccessorRingsWhomAKilledKeeperHadCalled(t *testing.T) {
	boxes := t.TempDir()
	box := makeBox(t, boxes, "bob")
	k, v := keep(t, box), visit(t, box, makeBox(t, boxes, "al"))
	k.Open(1)
	v.Accepted(1, 1)
	done := waiting(within(t), t, v, 1, 100)
	k.words.Store(wordWant, 0)
	k.words.Add(wordOutMsgs, 1)
	k.words.Add(wordOutBytes, 1)
	require.NoError(t, os.Rename(filepath.Join(box, waitersDir, "al"), filepath.Join(box, calledDir, "al")))
	keep(t, box).Open(2)
	require.NoError(t, result(t, done))
	left, err := os.ReadDir(filepath.Join(box, calledDir))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestSealRefusesNewAndWaitingSenders(t *testing.T) {
	boxes := t.TempDir()
	box := makeBox(t, boxes, "bob")
	k, v := keep(t, box), visit(t, box, makeBox(t, boxes, "al"))
	k.Open(1)
	v.Accepted(1, 1)
	done := waiting(within(t), t, v, 1, 100)
	k.Seal()
	require.ErrorIs(t, result(t, done), protocol.ErrPeerGone)
	require.ErrorIs(t, v.Admit(t.Context(), 10, 100, false), protocol.ErrPeerGone)
	require.False(t, v.Open())
}

// Who waits when the store is removed is told, and by a rename of the directory
// that its own lobby is in.
func TestRazeEndsWaiting(t *testing.T) {
	boxes := filepath.Join(t.TempDir(), "box")
	require.NoError(t, os.Mkdir(boxes, 0o700))
	box := makeBox(t, boxes, "bob")
	k, v := keep(t, box), visit(t, box, makeBox(t, boxes, "al"))
	k.Open(1)
	v.Accepted(1, 1)
	require.NoError(t, os.WriteFile(filepath.Join(boxes, "stray"), nil, 0o600))
	done := waiting(within(t), t, v, 1, 100)
	ruin := boxes + "-ruin"
	require.NoError(t, os.Rename(boxes, ruin))
	Raze(ruin)
	require.ErrorIs(t, result(t, done), protocol.ErrNoStore)
	require.ErrorIs(t, v.Admit(t.Context(), 9, 100, false), protocol.ErrNoStore)
	require.True(t, v.Sealed())
}

// A waiter that could not be rung is rung by the next occasion.
func TestFailedRingIsTriedAgain(t *testing.T) {
	for _, name := range []string{calledDir, waitersDir} {
		boxes := t.TempDir()
		box := makeBox(t, boxes, "bob")
		k, v := keep(t, box), visit(t, box, makeBox(t, boxes, "al"))
		k.Open(1)
		v.Accepted(2, 2)
		done := waiting(within(t), t, v, 2, 100)
		path := filepath.Join(box, name)
		require.NoError(t, os.Rename(path, path+"-away"))
		k.Freed(1, 1)
		require.NoError(t, os.Rename(path+"-away", path))
		k.Rest()
		require.NoError(t, result(t, done))
	}
}

// What senders count between a look at the mailbox and the recount stays
// counted.
func TestRecountForgetsNothingNewer(t *testing.T) {
	boxes := t.TempDir()
	box := makeBox(t, boxes, "bob")
	k, v := keep(t, box), visit(t, box, makeBox(t, boxes, "al"))
	k.Open(1)
	v.Accepted(3, 30)
	before := k.Tally() // a look finds one of the three
	v.Accepted(2, 20)
	k.RecountSince(before, 1, 10)
	msgs, bytes := k.Pending()
	require.Equal(t, []int{3, 30}, []int{msgs, bytes})
}

func TestOverdueSuspensionIsGone(t *testing.T) {
	boxes := t.TempDir()
	box := makeBox(t, boxes, "bob")
	k, v := keep(t, box), visit(t, box, makeBox(t, boxes, "al"))
	k.Open(1)
	k.Suspend(time.Now().Add(time.Hour))
	require.NoError(t, v.Admit(t.Context(), 1, 100, false))
	v.Accepted(1, 1)
	done := waiting(within(t), t, v, 1, 100)
	// The waiting sender learns a new deadline, and that it has passed.
	k.Suspend(time.Now().Add(10 * time.Millisecond))
	require.ErrorIs(t, result(t, done), protocol.ErrPeerGone)
	require.ErrorIs(t, v.Admit(t.Context(), 1, 100, false), protocol.ErrPeerGone)
	k.Open(2)
	require.NoError(t, v.Admit(t.Context(), 2, 100, false))
}

func TestWaitingEndsWithContextAndLobby(t *testing.T) {
	boxes := t.TempDir()
	box := makeBox(t, boxes, "bob")
	k, v := keep(t, box), visit(t, box, makeBox(t, boxes, "al"))
	k.Open(1)
	v.Accepted(1, 1)
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := waiting(ctx, t, v, 1, 100)
	cancel(why)
	require.ErrorIs(t, result(t, done), why)

	ctx, cancel = context.WithCancelCause(t.Context())
	defer cancel(nil)
	done = waiting(ctx, t, v, 1, 100)
	require.NoError(t, v.lobby.Close())
	require.ErrorIs(t, result(t, done), protocol.ErrClosed)
}

// A reader that keeps a part unacknowledged and sleeps must let in those who
// wait for a mark it never comes below.
func TestSleepingReaderWakesWaitersAboveTheMark(t *testing.T) {
	boxes := t.TempDir()
	box := makeBox(t, boxes, "bob")
	k, v := keep(t, box), visit(t, box, makeBox(t, boxes, "al"))
	k.Open(1)
	v.Accepted(4096, 4096)
	done := waiting(within(t), t, v, 4096, 1<<20)
	require.NoError(t, k.Wait(within(t))) // the ring of Accepted
	k.Freed(1, 1)
	asleep := make(chan error, 1)
	go func() { asleep <- k.Wait(within(t)) }()
	require.NoError(t, result(t, done))
	v.Accepted(1, 1)
	require.NoError(t, result(t, asleep))
}

func TestRecountHealsDrift(t *testing.T) {
	boxes := t.TempDir()
	box := makeBox(t, boxes, "bob")
	k, v := keep(t, box), visit(t, box, makeBox(t, boxes, "al"))
	k.Open(1)
	v.Accepted(2, 20) // counted for what was never there
	done := waiting(within(t), t, v, 2, 100)
	k.Recount(0, 0)
	require.NoError(t, result(t, done))
	k.Freed(5, 50) // of senders killed before they counted
	msgs, bytes := k.Pending()
	require.Equal(t, []int{0, 0}, []int{msgs, bytes})
	k.Recount(1, 7)
	msgs, bytes = k.Pending()
	require.Equal(t, []int{1, 7}, []int{msgs, bytes})
}

func TestMakeKeepsCountsAndRepairsRubbish(t *testing.T) {
	boxes := t.TempDir()
	box := makeBox(t, boxes, "bob")
	visit(t, box, makeBox(t, boxes, "al")).Accepted(3, 30)
	require.NoError(t, Make(box))
	msgs, _ := keep(t, box).Pending()
	require.Equal(t, 3, msgs)

	require.NoError(t, os.Remove(filepath.Join(box, countsFile)))
	require.NoError(t, os.WriteFile(filepath.Join(box, countsFile), []byte("rubbish"), 0o600))
	require.NoError(t, os.Remove(filepath.Join(box, bellFile)))
	require.NoError(t, os.WriteFile(filepath.Join(box, bellFile), nil, 0o600))
	_, err := Keep(box, boxes)
	require.Error(t, err)
	require.NoError(t, Make(box))
	keep(t, box).Open(1)

	l, err := OpenLobby(box, "bob")
	require.NoError(t, err)
	defer l.Close()
	_, err = Visit(filepath.Join(boxes, "nobody"), l)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// Two goroutines of one client wait at two gates: a ring at one must not eat
// the other's.
func TestOneLobbyManyGates(t *testing.T) {
	boxes := t.TempDir()
	own := makeBox(t, boxes, "al")
	l, err := OpenLobby(own, "al")
	require.NoError(t, err)
	defer l.Close()
	var keepers []*Keeper
	var dones []<-chan error
	for _, key := range []string{"bob", "cy", "di"} {
		box := makeBox(t, boxes, key)
		k := keep(t, box)
		k.Open(1)
		v, err := Visit(box, l)
		require.NoError(t, err)
		defer v.Close()
		v.Accepted(1, 1)
		keepers, dones = append(keepers, k), append(dones, waiting(within(t), t, v, 1, 100))
	}
	for i := len(keepers) - 1; i >= 0; i-- {
		keepers[i].Freed(1, 1)
		require.NoError(t, result(t, dones[i]))
	}
}

// Four processes push through a gate of four places; every wake-up that is lost
// hangs the test.
func TestProcessesThroughANarrowGate(t *testing.T) {
	const senders, each = 4, 2000
	boxes := t.TempDir()
	box := makeBox(t, boxes, "bob")
	k := keep(t, box)
	k.Open(1)
	var wg sync.WaitGroup
	for i := range senders {
		key := fmt.Sprintf("sender%d", i)
		makeBox(t, boxes, key)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "GATE_TEST_SENDER="+boxes, "GATE_TEST_KEY="+key)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
		_, err = bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		wg.Go(func() { fmt.Fprintln(in, each) })
	}
	wg.Wait()
	wait := func() { // each wait is bounded, not their sum
		ctx, cancel := context.WithTimeout(t.Context(), stuck)
		defer cancel()
		require.NoError(t, k.Wait(ctx))
	}
	for total := 0; total < senders*each; {
		msgs, bytes := k.Pending()
		require.LessOrEqual(t, msgs, 4+senders)
		if msgs == 0 {
			wait()
			continue
		}
		k.Freed(msgs, bytes)
		total += msgs
	}
}

// sender is the process that pushes as many messages as it is told.
func sender(boxes, key string) {
	die := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, key, err)
			os.Exit(1)
		}
	}
	l, err := OpenLobby(filepath.Join(boxes, key), key)
	die(err)
	v, err := Visit(filepath.Join(boxes, "bob"), l)
	die(err)
	fmt.Println("ready")
	var n int
	_, err = fmt.Scanln(&n)
	die(err)
	for range n {
		die(v.Admit(context.Background(), 4, 1<<20, true))
		v.Accepted(1, 10)
	}
}

func BenchmarkSend(b *testing.B) {
	boxes := b.TempDir()
	box := filepath.Join(boxes, "bob")
	if err := errors.Join(os.Mkdir(box, 0o700), Make(box)); err != nil {
		b.Fatal(err)
	}
	l, err := OpenLobby(box, "bob")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	k, err := Keep(box, boxes)
	if err != nil {
		b.Fatal(err)
	}
	defer k.Close()
	v, err := Visit(box, l)
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	k.Open(1)
	for b.Loop() {
		if err := v.Admit(context.Background(), 10, 1000, false); err != nil {
			b.Fatal(err)
		}
		v.Accepted(1, 10)
		k.Freed(1, 10)
	}
}

// A sender may ring for a sleep when the reader knows already what it rings for.
// That ring ends the sleep, or the sender's next message would not be heard.
func TestRingForWhatIsKnown(t *testing.T) {
	boxes := t.TempDir()
	box := makeBox(t, boxes, "b")
	k := keep(t, box)
	v := visit(t, box, makeBox(t, boxes, "a"))
	k.Open(1)
	require.NoError(t, k.rope.Ring())
	v.rung.Store(k.sleep + 1) // it was this sender, and for the sleep that comes
	heard := make(chan error)
	ctx := within(t)
	go func() { heard <- k.Wait(ctx) }()
	for k.words.Load(wordAsleep) != sleepsOf(1)+2 {
		require.NoError(t, ctx.Err())
		runtime.Gosched()
	}
	v.Accepted(1, 1)
	require.NoError(t, <-heard)
}

// Whoever waits for messages in a store that is removed learns it.
func TestRazedWhileWaiting(t *testing.T) {
	boxes := t.TempDir()
	k := keep(t, makeBox(t, boxes, "b"))
	k.Open(1)
	heard := make(chan error)
	ctx := within(t)
	go func() { heard <- k.Wait(ctx) }()
	for k.words.Load(wordAsleep) == 0 {
		require.NoError(t, ctx.Err())
		runtime.Gosched()
	}
	Raze(boxes)
	require.ErrorIs(t, <-heard, protocol.ErrNoStore)
}
