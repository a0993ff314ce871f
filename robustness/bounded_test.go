package robustness

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
)

var (
	processes = flag.Int("robustness.processes", 30, "how many processes TestManyProcesses puts on one store")
	messages  = flag.Int("robustness.messages", 20_000, "how many messages TestSoak sends through a store")
)

// A mailbox holds MaxPending messages, or MaxBytes, that are not acknowledged,
// and at most one batch more; then senders wait, and go on as there is room.
func TestMailboxIsBounded(t *testing.T) {
	for _, c := range []ipcmgr.Config{
		{MaxPending: 50, MaxMessage: 100_000},
		{MaxBytes: 1, MaxMessage: 40_000}, // raised to what one message needs
	} {
		over(t, everywhere, c, func(w *world) {
			a, b := w.connect("a"), w.puppet("b")
			set := w.store.Settings()
			text := long(10_000)
			n := 0
			until := func(send func() error) error {
				for {
					if err := send(); err != nil {
						return err
					}
					n++
					require.LessOrEqual(w, n, set.MaxPending)
					require.LessOrEqual(w, n*len(text), set.MaxBytes+len(text))
				}
			}
			for range min(set.MaxPending, set.MaxBytes/(len(text)+1000)) { // with what is around it
				w.send(a, "b", text)
				n++
			}
			// A reader that is slow to take in may look full before it is.
			require.ErrorIs(w, until(func() error { return a.TrySend(w.ctx, "b", text) }), ipcmgr.ErrFull)
			require.ErrorContains(w, until(func() error {
				ctx, cancel := context.WithTimeoutCause(w.ctx, 30*time.Millisecond, errors.New("no room"))
				defer cancel()
				return a.Send(ctx, "b", text)
			}), "no room")
			sent := make(chan error, 1)
			go func() { sent <- a.Send(w.ctx, "b", "at last") }()
			b.do(order{Op: "receive", N: n})
			b.do(order{Op: "rest"})
			require.NoError(w, <-sent)
		})
	}
}

// A thousand clients in one process need no more of anything than a thousand
// times one, and leave nothing when they are gone.
func TestThousandClientsInOneProcess(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		const count = 1000
		w.leave(w.connect("first")) // what is made once is made
		routines, files := runtime.NumGoroutine(), descriptors()
		clients := make([]ipcmgr.Client, count)
		for i := range clients {
			clients[i] = w.connect(fmt.Sprint("c", i))
		}
		for i, c := range clients {
			w.send(c, fmt.Sprint("c", (i+1)%count), fmt.Sprint(i))
		}
		for i, c := range clients {
			require.Equal(w, []string{fmt.Sprint((i + count - 1) % count)}, w.receive(c, 1))
		}
		peers, err := w.store.Peers(w.ctx)
		require.NoError(w, err)
		require.Len(w, peers, count)
		for _, c := range clients {
			w.leave(c)
		}
		settles(w, func() bool { return runtime.NumGoroutine() <= routines+2 && descriptors() <= files+2 }, func() string {
			return fmt.Sprintf("%d goroutines, there were %d; %d descriptors, there were %d", runtime.NumGoroutine(), routines, descriptors(), files)
		})
	})
}

// settles gives what ended a moment ago time to be gone.
func settles(t testing.TB, ok func() bool, what func() string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(stuck / 4); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal(what())
		}
	}
}

// descriptors counts what this process has open, where the system tells.
func descriptors() int {
	names, _ := os.ReadDir("/proc/self/fd")
	return len(names)
}

// Many processes come to one store, send to one client, and leave.
func TestManyProcesses(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		hub := w.connect("hub")
		crowd := make([]*puppet, *processes)
		for i := range crowd {
			p := &puppet{w: w, id: fmt.Sprint("p", i)}
			crowd[i] = p
			p.begin()
		}
		const each = 20
		for _, p := range crowd {
			require.Empty(w, p.hear().Err)
			p.tell(order{Op: "send", To: "hub", N: each, As: p.id + " "})
		}
		next := map[string]int{}
		for range each * len(crowd) {
			m, err := hub.Receive(w.ctx)
			require.NoError(w, err)
			var text string
			require.NoError(w, m.Decode(&text))
			require.Equal(w, fmt.Sprint(m.From, " ", next[m.From]), text)
			next[m.From]++
		}
		for _, p := range crowd {
			require.Equal(w, answer{N: each}, p.hear())
			p.tell(order{Op: "disconnect"})
		}
		for _, p := range crowd {
			require.Empty(w, p.hear().Err)
		}
		w.leave(hub)
		audit, err := w.store.Audit(w.ctx)
		require.NoError(w, err)
		require.NoError(w, audit.Err())
	})
}

// Messages that go through a store make nothing grow: neither its files, nor
// the descriptors, the goroutines or the memory of those who use it.
func TestSoak(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		// The whole may take longer than what is called hanging.
		w.ctx = context.Background()
		a, b := w.connect("a"), w.connect("b")
		const batch = 100
		contents := make([]any, batch)
		for i := range contents {
			contents[i] = long(200)
		}
		through := func(count int) {
			for range count / batch {
				n, err := a.SendBatch(w.ctx, "b", contents...)
				require.NoError(w, err)
				require.Equal(w, batch, n)
				for range batch {
					_, err := b.Receive(w.ctx)
					require.NoError(w, err)
				}
			}
			ms, err := b.Poll(w.ctx, 1)
			require.NoError(w, err)
			require.Empty(w, ms)
		}
		through(*messages / 4) // until all has the size that it needs
		before := take(w)
		through(*messages)
		var after stock
		what := func() string {
			return fmt.Sprintf("%+v, and after %d messages %+v", before, *messages, after)
		}
		settles(w, func() bool {
			after = take(w)
			return after.files <= before.files+2 && after.bytes <= before.bytes+1<<20 &&
				after.descriptors <= before.descriptors+2 && after.goroutines <= before.goroutines+2 &&
				after.heap <= before.heap+16<<20
		}, what)
		w.Log(what())
	})
}

// stock is what a store and this process have.
type stock struct {
	files       int
	bytes       int64
	descriptors int
	goroutines  int
	heap        uint64
}

func take(w *world) (s stock) {
	runtime.GC()
	s.heap, s.goroutines, s.descriptors = heap(), runtime.NumGoroutine(), descriptors()
	if w.protocol() == "mem" {
		return s
	}
	require.NoError(w, filepath.WalkDir(w.route(), func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		s.files++
		if info, err := e.Info(); err == nil && !e.IsDir() {
			s.bytes += info.Size()
		}
		return nil
	}))
	return s
}
