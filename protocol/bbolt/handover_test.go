package bbolt

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/bell"
	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/filelock"
	"github.com/stretchr/testify/require"
)

// share is what each contender has done when it says so.
const share = 1000

// contend works on a mailbox's file as fast as it can, as a client that keeps
// it does: BOXES BOX OWN, where OWN is its own mailbox. It says when it has done
// its share, and goes on. With the next line of its input it stops, and says how
// much it has done.
func contend(args []string) error {
	call, err := bell.Open(filepath.Join(args[0], args[2], callName))
	if err != nil {
		return err
	}
	t, err := openTurnstile(args[0], filepath.Join(args[0], args[1]), args[2])
	if err != nil {
		return err
	}
	f := &file{turnstile: t, life: context.Background(), aside: corrupt.Place{FS: disk.Real, Dir: os.TempDir()}, notice: func(err error) { fmt.Fprintln(os.Stderr, err) }}
	go func() {
		for call.Wait(context.Background()) == nil {
			f.called()
		}
	}()
	stop := make(chan bool)
	fmt.Println("ready")
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	go func() {
		in.ReadString('\n')
		close(stop)
	}()
	for n := 0; ; n++ {
		select {
		case <-stop:
			fmt.Println(n)
			// Idle, and perhaps with the file kept: others must get at it.
			in.ReadString('\n')
			return nil
		default:
		}
		if n == share {
			fmt.Println("my share")
		}
		err := f.write(context.Background(), func(l *ledger) error {
			if n, err := strconv.Atoi(string(l.get(l.last()))); l.last() > 0 && (err != nil || uint64(n) != l.last()) {
				return fmt.Errorf("message %d says %d: %v", l.last(), n, err)
			}
			return add(fmt.Sprint(l.last() + 1))(l)
		})
		if err != nil {
			return err
		}
	}
}

func contenders(t *testing.T, boxes string, n int) (all []*child) {
	for i := range n {
		own := fmt.Sprintf("own-%d-%d", n, i)
		if _, err := os.Stat(filepath.Join(boxes, own)); err != nil {
			newBox(t, boxes, own, false)
		}
		c := start(t, "contend", boxes, "b", own)
		require.Equal(t, "ready", c.says())
		all = append(all, c)
	}
	for _, c := range all {
		fmt.Fprintln(c.in)
	}
	return all
}

// reach waits until so many messages are in the file, as a contender that uses
// it from time to time.
func reach(t *testing.T, f *file, n uint64) {
	t.Helper()
	eventually(t, func() bool {
		var last uint64
		require.NoError(t, f.read(t.Context(), func(l *ledger) error { last = l.last(); return nil }))
		return last >= n
	})
}

// Of four processes that work as fast as they can each gets to do its share while
// the others go on, and one that has stopped working does not keep the file from
// others.
func TestHandOverReachesAll(t *testing.T) {
	boxes := t.TempDir()
	newBox(t, boxes, "b", false)
	all := contenders(t, boxes, 4)
	for _, c := range all {
		require.Equal(t, "my share", c.says())
	}
	total := 0
	var counts []int
	for _, c := range all {
		fmt.Fprintln(c.in)
		n, err := strconv.Atoi(c.says())
		require.NoError(t, err)
		counts = append(counts, n)
		total += n
	}
	t.Log("operations:", counts)
	require.Len(t, contents(t, useFile(t, boxes, "b", false)), total)
	for _, c := range all {
		fmt.Fprintln(c.in)
		c.wait()
	}
}

// Nobody overtakes the one that waits for the file, as who has just had it and
// wants it again could.
func TestNobodyOvertakes(t *testing.T) {
	boxes := t.TempDir()
	newBox(t, boxes, "b", false)
	a, b := useFile(t, boxes, "b", false), useFile(t, boxes, "b", false)
	type entry struct {
		lock *filelock.Hold
		err  error
	}
	for range 200 {
		lock, err := a.enter(t.Context(), t.Context())
		require.NoError(t, err)
		first := make(chan entry, 1)
		go func() {
			lock, err := b.enter(context.Background(), t.Context())
			first <- entry{lock, err}
		}()
		eventually(t, a.wanted)
		require.NoError(t, lock.Unlock())
		second := make(chan entry, 1)
		go func() {
			lock, err := a.enter(context.Background(), t.Context())
			second <- entry{lock, err}
		}()
		var got entry
		select {
		case got = <-first:
			require.NoError(t, got.err)
		case <-second:
			t.Fatal("the one that had it was first")
		}
		require.NoError(t, got.lock.Unlock())
		got = <-second
		require.NoError(t, got.err)
		require.NoError(t, got.lock.Unlock())
	}
}

// The holder of a file may be killed at any moment: the next one gets it, and
// nothing that was committed is lost.
func TestHandOverSurvivesKills(t *testing.T) {
	boxes := t.TempDir()
	newBox(t, boxes, "b", false)
	f := useFile(t, boxes, "b", false)
	var last uint64
	for range 50 {
		all := contenders(t, boxes, 2)
		for _, c := range all {
			reach(t, f, last+uint64(rand.IntN(30)))
			c.kill()
		}
		before := last
		require.NoError(t, f.read(t.Context(), func(l *ledger) error {
			last = l.last()
			n, _ := l.count(nil)
			require.EqualValues(t, last, n)
			return nil
		}))
		require.GreaterOrEqual(t, last, before)
	}
	require.NotZero(t, last)
}

// A wait that was called off leaves nothing behind once the file is free.
func TestCancelledWaitLeavesNothing(t *testing.T) {
	boxes := t.TempDir()
	newBox(t, boxes, "b", false)
	f, other := useFile(t, boxes, "b", false), useFile(t, boxes, "b", false)
	before := runtime.NumGoroutine()
	lock, err := other.enter(t.Context(), t.Context())
	require.NoError(t, err)
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		require.ErrorIs(t, f.write(ctx, add("never")), context.Canceled)
		cancel()
	}
	require.NoError(t, lock.Unlock())
	eventually(t, func() bool { return runtime.NumGoroutine() <= before })
	require.Empty(t, contents(t, f))
}
