package bbolt

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/stretchr/testify/require"
)

// newBox makes a mailbox that no client holds, among those in boxes.
func newBox(t testing.TB, boxes, name string, durable bool) {
	t.Helper()
	site := siteOf(t, boxes, durable)
	require.NoError(t, site.make(t.Context(), name))
}

func siteOf(t testing.TB, boxes string, durable bool) *site {
	t.Helper()
	site, err := openSite(disk.Real, boxes, t.TempDir(), durable)
	require.NoError(t, err)
	t.Cleanup(site.close)
	return site
}

// useFile opens the use of a mailbox's file, without the bell of a client.
func useFile(t testing.TB, boxes, name string, durable bool) *file {
	t.Helper()
	turnstile, err := openTurnstile(boxes, filepath.Join(boxes, name), "")
	require.NoError(t, err)
	f := &file{turnstile: turnstile, life: context.Background(), durable: durable, aside: corrupt.Place{FS: disk.Real, Dir: filepath.Join(t.TempDir(), "aside")}, notice: func(err error) { t.Log(err) }}
	t.Cleanup(f.close)
	return f
}

func add(data ...string) func(*ledger) error {
	var frames []protocol.Frame
	for _, d := range data {
		frames = append(frames, protocol.Frame{Data: []byte(d)})
	}
	return func(l *ledger) error {
		l.add(pack(frames))
		return nil
	}
}

// contents are all messages of a file, in order.
func contents(t testing.TB, f *file) (all []string) {
	t.Helper()
	require.NoError(t, f.read(t.Context(), func(l *ledger) error {
		all = nil
		l.from(0, func(_ uint64, data []byte) bool {
			all = append(all, string(data))
			return true
		})
		return nil
	}))
	return all
}

// What waits for the file together is committed together.
func TestOneCommitCarriesAllThatWaits(t *testing.T) {
	boxes := t.TempDir()
	newBox(t, boxes, "b", false)
	f, other := useFile(t, boxes, "b", false), useFile(t, boxes, "b", false)
	lock, err := other.enter(t.Context(), t.Context())
	require.NoError(t, err)

	const jobs = 64
	transactions := make(chan int, jobs)
	done := make(chan error, jobs)
	for i := range jobs {
		go func() {
			done <- f.write(context.Background(), func(l *ledger) error {
				transactions <- l.tx.ID()
				return add(fmt.Sprint(i))(l)
			})
		}()
	}
	eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.queue) == jobs-1
	})
	require.NoError(t, lock.Unlock())
	seen := map[int]bool{}
	for range jobs {
		require.NoError(t, <-done)
		seen[<-transactions] = true
	}
	require.Len(t, seen, 1)
	require.Len(t, contents(t, f), jobs)
}

// Each learns what came of its own.
func TestJobsFailAlone(t *testing.T) {
	boxes := t.TempDir()
	newBox(t, boxes, "b", false)
	f := useFile(t, boxes, "b", false)
	refused := fmt.Errorf("refused")
	good := &job{ctx: t.Context(), writes: true, work: add("good")}
	bad := &job{ctx: t.Context(), writes: true, work: func(*ledger) error { return refused }}
	require.NoError(t, f.hold(t.Context()))
	require.NoError(t, f.open())
	f.commit([]*job{bad, good})
	require.NoError(t, good.err)
	require.ErrorIs(t, bad.err, refused)
	require.Equal(t, []string{"good"}, contents(t, f))
}

// A wait ends with its context: the leader's for the lock, and that of one who
// waits for the leader; neither takes the other with it.
func TestContextEndsTheWait(t *testing.T) {
	boxes := t.TempDir()
	newBox(t, boxes, "b", false)
	f, other := useFile(t, boxes, "b", false), useFile(t, boxes, "b", false)
	lock, err := other.enter(t.Context(), t.Context())
	require.NoError(t, err)

	why := fmt.Errorf("enough")
	leader, stopLeader := context.WithCancelCause(t.Context())
	follower, stopFollower := context.WithCancelCause(t.Context())
	results := map[string]chan error{"leader": make(chan error, 1), "follower": make(chan error, 1), "patient": make(chan error, 1)}
	queued := func(n int) {
		eventually(t, func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.leading && len(f.queue) == n
		})
	}
	go func() { results["leader"] <- f.write(leader, add("leader")) }()
	queued(0)
	go func() { results["follower"] <- f.write(follower, add("follower")) }()
	queued(1)
	go func() { results["patient"] <- f.write(context.Background(), add("patient")) }()
	queued(2)
	stopFollower(why)
	require.ErrorIs(t, <-results["follower"], why)
	stopLeader(why)
	require.ErrorIs(t, <-results["leader"], why)
	require.NoError(t, lock.Unlock())
	require.NoError(t, <-results["patient"])
	require.Equal(t, []string{"patient"}, contents(t, f))
}

// A file that was removed with its mailbox is not written, even by one who held
// it open, or who waited for it.
func TestRemovedMailboxTakesNothing(t *testing.T) {
	boxes := t.TempDir()
	newBox(t, boxes, "b", false)
	f, other := useFile(t, boxes, "b", false), useFile(t, boxes, "b", false)
	lock, err := other.enter(t.Context(), t.Context())
	require.NoError(t, err)
	waiting := make(chan error, 1)
	go func() { waiting <- f.write(context.Background(), add("late")) }()
	eventually(t, other.wanted)
	require.NoError(t, siteOf(t, boxes, false).remove(t.Context(), "b"))
	newBox(t, boxes, "b", false)
	require.NoError(t, lock.Unlock())
	require.ErrorIs(t, <-waiting, errReplaced)
	require.Empty(t, contents(t, useFile(t, boxes, "b", false)))

	kept := useFile(t, boxes, "b", false)
	require.NoError(t, kept.hold(t.Context()))
	require.NoError(t, os.RemoveAll(filepath.Join(boxes, "b")))
	require.ErrorIs(t, kept.write(t.Context(), add("late")), errReplaced)
}

// eventually waits for what another goroutine or process is about to do.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it hangs")
		}
	}
}
