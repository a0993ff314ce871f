//go:build unix

package unixsocket

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Both dial at the same time: both connections are read, each side keeps to one
// for sending, and nothing is lost or out of order.
func TestCrossingConnections(t *testing.T) {
	s := spawned(t)
	crossed := 0
	for round := range 60 {
		a, _ := joined(t, s, fmt.Sprintf("a%d", round))
		b, _ := joined(t, s, fmt.Sprintf("b%d", round))
		const count = 50
		var all sync.WaitGroup
		start := make(chan struct{})
		for _, pair := range [][2]*Mailbox{{a, b}, {b, a}} {
			all.Go(func() {
				<-start
				for i := range count {
					n, err := pair[0].Deliver(within(t), pair[1].id, frames(strconv.Itoa(i)), true)
					if n != 1 || err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		close(start)
		all.Wait()
		for _, m := range []*Mailbox{a, b} {
			_, texts := fetched(t, m, count)
			for i, text := range texts {
				require.Equal(t, strconv.Itoa(i), text)
			}
		}
		a.mu.Lock()
		if len(a.conns) > 1 {
			crossed++
		}
		a.mu.Unlock()
		require.NoError(t, a.Leave(within(t), protocol.Departure{}))
		require.NoError(t, b.Leave(within(t), protocol.Departure{}))
	}
	t.Logf("connections crossed in %d of 60 rounds", crossed)
}

// Two clients send each other far more than the kernel holds before either
// reads.
func TestSendingBeforeReading(t *testing.T) {
	s := spawned(t)
	a, _ := joined(t, s, "a")
	b, _ := joined(t, s, "b")
	const count = 400
	big := string(make([]byte, 100_000))
	var all sync.WaitGroup
	for _, pair := range [][2]*Mailbox{{a, b}, {b, a}} {
		all.Go(func() {
			for range count {
				if _, err := pair[0].Deliver(within(t), pair[1].id, frames(big), true); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	for _, m := range []*Mailbox{a, b} {
		fetched(t, m, count)
	}
}

func TestPeerThatRestartsIsReachedAgain(t *testing.T) {
	s := spawned(t)
	b, _ := joined(t, s, "b")
	for life := range 5 {
		cmd, says, _ := started(t, "echo", s.Route())
		line(t, says)
		text := strconv.Itoa(life)
		send(t, b, "a", text)
		_, texts := fetched(t, b, 1)
		require.Equal(t, []string{text}, texts)
		require.NoError(t, cmd.Process.Kill())
		cmd.Wait()
		// Whatever the connection looks like, nothing goes into the void.
		n, err := b.Deliver(within(t), "a", frames("nobody is there"), life%2 == 0)
		require.Zero(t, n)
		require.ErrorIs(t, err, protocol.ErrPeerCrashed)
	}
}

// A peer that turns to a newer connection before its older one has said hello
// is heard in the order in which it wrote, whichever is looked at first.
func TestNewerConnectionIsHeardAfterTheOlder(t *testing.T) {
	s := spawned(t)
	b, _ := joined(t, s, "b")
	marker(t, s, "perl")
	ctx := within(t)
	require.NoError(t, b.take(ctx)) // nobody reads
	older := raw(t, s, "b")
	accept := func() {
		got, err := b.acceptAll()
		require.True(t, got)
		require.NoError(t, err)
	}
	accept() // and it has not said who it is
	_, err := older.Write(framed(string(hello("perl")), "one", "two"))
	require.NoError(t, err)
	newer := raw(t, s, "b")
	_, err = newer.Write(framed(string(hello("perl")), "three"))
	require.NoError(t, err)
	accept()
	b.release()
	_, texts := fetched(t, b, 3)
	require.Equal(t, []string{"one", "two", "three"}, texts)
}

// A client that crashed with a full mailbox is crashed, not full: the count at
// its gate does not outlive it.
func TestCrashedWhileFullIsCrashed(t *testing.T) {
	s := spawned(t, func(set *protocol.Settings) { set.MaxPending = 1 })
	a, _ := joined(t, s, "a")
	other, err := Protocol{}.Open(within(t), s.Route())
	require.NoError(t, err)
	_, err = other.Connect(within(t), options("b", protocol.New, nil))
	require.NoError(t, err)
	frames := []protocol.Frame{{ID: []byte("1"), Data: []byte("x")}}
	_, err = a.Deliver(within(t), "b", frames, false)
	require.NoError(t, err)
	_, err = a.Deliver(within(t), "b", frames, false)
	require.ErrorIs(t, err, protocol.ErrFull)
	require.NoError(t, other.Close())
	_, err = a.Deliver(within(t), "b", frames, false)
	require.ErrorIs(t, err, protocol.ErrPeerCrashed)
}

// A message outlives its sender: its hello is read when the sender has left, or
// when another holds its name.
func TestSenderThatIsGoneIsStillHeard(t *testing.T) {
	for _, role := range []string{"quick", "visitor"} {
		t.Run(role, func(t *testing.T) {
			s := spawned(t)
			b, _ := joined(t, s, "b")
			require.NoError(t, b.take(within(t))) // nobody reads
			cmd, _, _ := started(t, role, s.Route())
			require.NoError(t, cmd.Wait())
			if role == "quick" {
				joined(t, s, "a")
			}
			b.release()
			from, texts := fetched(t, b, 2)
			require.Equal(t, "a", from)
			require.Equal(t, []string{"one", "two"}, texts)
		})
	}
}

func TestVanishedSocketIsListenedAtAgain(t *testing.T) {
	s := spawned(t)
	b, _ := joined(t, s, "b")
	path := filepath.Join(s.Route(), "b")
	for i := range 10 {
		require.NoError(t, os.Remove(path))
		a, _ := joined(t, s, "a"+strconv.Itoa(i))
		send(t, a, "b", "there you are") // waits for it
		fetched(t, b, 1)
	}
	require.NoError(t, b.Leave(within(t), protocol.Departure{}))
	_, err := os.Lstat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestAnotherSocketIsNotUnlinked(t *testing.T) {
	s := spawned(t)
	b, told := joined(t, s, "b")
	path := filepath.Join(s.Route(), "b")
	other := path + "-other"
	fd, err := bind(other)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, os.Rename(other, path))
	told.await(within(t), t, "another file has come to stand at "+path)
	require.NoError(t, b.Leave(within(t), protocol.Departure{}))
	_, err = os.Lstat(path)
	require.NoError(t, err)

	// Somebody listens there who is not a client of the store.
	_, err = s.Connect(within(t), options("b", protocol.New, nil))
	require.ErrorContains(t, err, "somebody listens at "+path)
	_, err = os.Lstat(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
}

func TestStaleSocketIsReplaced(t *testing.T) {
	s := spawned(t)
	cmd, says, _ := started(t, "alive", s.Route())
	line(t, says)
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait()
	a, _ := joined(t, s, "a")
	require.Equal(t, protocol.Crashed, a.Found())
	b, _ := joined(t, s, "b")
	send(t, b, "a", "you are new")
	fetched(t, a, 1)
}

func TestSocketsAreOfThisUserOnly(t *testing.T) {
	for _, mask := range []int{0, 0o777} {
		path := filepath.Join(filepath.Dir(shortRoute(t)), "socket")
		old := unix.Umask(mask)
		fd, err := bind(path)
		unix.Umask(old)
		require.NoError(t, err)
		info, err := os.Lstat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		unix.Close(fd)
	}
}

// A client that meets many others keeps nothing of those that are gone.
func TestNothingIsKeptOfPeersThatAreGone(t *testing.T) {
	s := spawned(t)
	b, _ := joined(t, s, "b")
	for i := range 20 {
		a, _ := joined(t, s, "a"+strconv.Itoa(i))
		send(t, a, "b", "question")
		from, _ := fetched(t, b, 1)
		send(t, b, from, "answer")
		fetched(t, a, 1)
		require.NoError(t, a.Leave(within(t), protocol.Departure{}))
		_, err := b.Deliver(within(t), from, frames("more"), i%2 == 0)
		require.Error(t, err)
		_, err = b.Deliver(within(t), from, frames("more"), i%2 == 0)
		require.ErrorIs(t, err, protocol.ErrNoPeer)
	}
	_, err := b.Fetch(within(t), make([]protocol.Delivery, 1), false) // sees the ends
	require.NoError(t, err)
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.links)
	require.Empty(t, b.friends)
	require.Empty(t, b.conns)
}

func TestSuspendIsRefused(t *testing.T) {
	s := spawned(t)
	b, _ := joined(t, s, "b")
	require.Error(t, b.Leave(within(t), protocol.Departure{Suspend: true}))
	send(t, b, "b", "still here")
	fetched(t, b, 1)
}
