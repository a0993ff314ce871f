package roster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/process"
	"github.com/ipcmgr/ipcmgr/protocol"
)

func TestChangesAreTold(t *testing.T) {
	r := spawn(t, plainKind)
	other := open(t, plainKind, r.Route())
	var e *Entry
	for _, step := range []struct {
		do   func()
		told func([]protocol.Peer) bool
	}{
		{
			func() { e = enter(t, other, "a", protocol.New) },
			inState("a", protocol.Active),
		}, {
			func() { require.NoError(t, e.Publish(t.Context(), map[string]string{"k": "v"}, nil)) },
			func(peers []protocol.Peer) bool { return len(peers) == 1 && peers[0].Attrs["k"] == "v" },
		}, {
			func() { require.NoError(t, e.Leave(t.Context(), protocol.Departure{Suspend: true}, nil)) },
			inState("a", protocol.Suspended),
		}, {
			func() { e = enter(t, other, "a", protocol.Reconnect) },
			inState("a", protocol.Active),
		}, {
			func() { e.Abandon() },
			inState("a", protocol.Crashed),
		}, {
			func() { e = enter(t, other, "a", protocol.Resume) },
			inState("a", protocol.Active),
		}, {
			func() { require.NoError(t, e.Leave(t.Context(), protocol.Departure{}, nil)) },
			inState("a", protocol.Gone),
		},
	} {
		told := awaiting(t, r, step.told)
		step.do()
		<-told
	}
}

func TestRevisions(t *testing.T) {
	r := spawn(t, plainKind)
	_, rev, err := r.Peers(t.Context())
	require.NoError(t, err)
	_, again, err := r.Peers(t.Context())
	require.NoError(t, err)
	require.Equal(t, rev, again)
	require.NoError(t, r.Changed(t.Context(), rev-1), "an older revision")

	e := enter(t, r, "a", protocol.New)
	require.NoError(t, r.Changed(t.Context(), rev))
	_, rev, err = r.Peers(t.Context())
	require.NoError(t, err)
	require.NoError(t, e.Publish(t.Context(), nil, []byte("statistics are not part of the list")))
	_, again, err = r.Peers(t.Context())
	require.NoError(t, err)
	require.Equal(t, rev, again)
}

func TestChangedEndsWithItsContextTheHandleAndTheStore(t *testing.T) {
	r := spawn(t, plainKind)
	_, rev, err := r.Peers(t.Context())
	require.NoError(t, err)
	cause := fmt.Errorf("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error)
	go func() { result <- r.Changed(ctx, rev) }()
	cancel(cause)
	require.Equal(t, cause, <-result)

	other := open(t, plainKind, r.Route())
	_, rev, err = other.Peers(t.Context())
	require.NoError(t, err)
	go func() { result <- other.Changed(t.Context(), rev) }()
	require.NoError(t, other.Close())
	require.ErrorIs(t, <-result, protocol.ErrClosed)

	other = open(t, plainKind, r.Route())
	_, rev, err = other.Peers(t.Context())
	require.NoError(t, err)
	go func() { result <- other.Changed(t.Context(), rev) }()
	require.NoError(t, r.Unspawn(t.Context()))
	require.ErrorIs(t, <-result, protocol.ErrNoStore)
}

// The median time from SIGKILL until Changed has told is logged.
func TestCrashIsSeen(t *testing.T) {
	r := spawn(t, plainKind)
	var took []time.Duration
	for i := range 11 {
		id := fmt.Sprint("victim", i)
		c := start(t, "hold", r.Route(), id)
		require.Equal(t, "held", c.line())
		await(t, r, inState(id, protocol.Active))
		// In Changed when it happens, as far as can be known.
		_, rev, err := r.Peers(t.Context())
		require.NoError(t, err)
		seen := make(chan time.Time)
		go func() {
			if err := r.Changed(t.Context(), rev); err != nil {
				t.Error(err)
			}
			seen <- time.Now()
		}()
		runtime.Gosched()
		killed := time.Now()
		c.Process.Kill()
		took = append(took, (<-seen).Sub(killed))
		peers, _, err := r.Peers(t.Context())
		require.NoError(t, err)
		require.True(t, inState(id, protocol.Crashed)(peers))
		c.Wait()
	}
	slices.Sort(took)
	t.Logf("from SIGKILL to crashed: median %v, longest %v", took[len(took)/2], took[len(took)-1])
}

func init() { roles["stranger"] = func([]string) { stay("here") } }

// A record that names a living stranger: its pid and start are right, but it
// does not hold the lock.
func TestForgedRecord(t *testing.T) {
	r := spawn(t, plainKind)
	other := start(t, "stranger")
	require.Equal(t, "here", other.line())
	stranger := process.ID{PID: other.Process.Pid}
	stranger.Start, _ = process.Start(stranger.PID)
	require.True(t, process.Alive(stranger))
	c := start(t, "hold", r.Route(), "honest")
	require.Equal(t, "held", c.line())
	honest, _, err := r.records.read("honest")
	require.NoError(t, err)
	for id, token := range map[string]string{"nothing": "1-2-3", "freed": "4-5-6"} {
		if id == "freed" {
			require.NoError(t, os.WriteFile(r.Path("procs", token), nil, 0o600))
		}
		require.NoError(t, r.records.write(&record{
			ID: id, Epoch: 7, State: state(protocol.Active), Since: time.Now(),
			PID: stranger.PID, Start: stranger.Start, Token: token,
		}))
		seen, err := r.Look(id)
		require.NoError(t, err)
		require.Equal(t, protocol.Crashed, seen.State)
	}
	await(t, r, inState("nothing", protocol.Crashed))
	require.NoError(t, r.Changed(t.Context(), 0)) // and while the handle watches
	await(t, r, inState("freed", protocol.Crashed))

	// One that names a dead process under the token of a living one is alive,
	// for only that one can have written it.
	forged := *honest
	forged.ID, forged.PID, forged.Start = "dead", 1<<22-1, 1
	require.NoError(t, r.records.write(&forged))
	await(t, r, inState("dead", protocol.Active))
	e := enter(t, r, "nothing", protocol.Reconnect)
	require.EqualValues(t, 8, e.Epoch)
}

// Many clients of a process share one proof of life and one watch.
func TestManyClients(t *testing.T) {
	const clients = 300
	r := spawn(t, plainKind)
	watcher := open(t, plainKind, r.Route())
	told := awaiting(t, watcher, func(peers []protocol.Peer) bool { return len(peers) == clients })
	var all sync.WaitGroup
	entries := make([]*Entry, clients)
	for i := range clients {
		all.Go(func() {
			var err error
			entries[i], err = r.Enter(t.Context(), options(fmt.Sprintf("c%03d", i), protocol.New), noSetup)
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	peers := <-told
	require.True(t, slices.IsSorted(ids(peers)))
	procs, err := os.ReadDir(r.Path("procs"))
	require.NoError(t, err)
	require.Len(t, procs, 1)
	for _, e := range entries {
		all.Go(func() {
			if err := e.Leave(t.Context(), protocol.Departure{}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	await(t, watcher, func(peers []protocol.Peer) bool { return len(peers) == 0 })
}

func init() {
	roles["hold many"] = func(args []string) {
		r, err := plainKind.Open(context.Background(), args[0])
		check(err)
		for i := range 50 {
			_, err = r.Enter(context.Background(), options(fmt.Sprint("c", i), protocol.New), noSetup)
			check(err)
		}
		stay("held")
	}
}

func TestOneWatchPerProcess(t *testing.T) {
	r := spawn(t, plainKind)
	c := start(t, "hold many", r.Route())
	require.Equal(t, "held", c.line())
	require.NoError(t, r.Changed(t.Context(), 0))
	r.lives.mu.Lock()
	require.Len(t, r.lives.known, 1)
	r.lives.mu.Unlock()
	c.kill()
	await(t, r, func(peers []protocol.Peer) bool {
		return !slices.ContainsFunc(peers, func(p protocol.Peer) bool { return p.State != protocol.Crashed })
	})
}

// A file replaced by one of the same size within the clock's tick is read again.
func TestRecordsReplacedAtOnce(t *testing.T) {
	r := spawn(t, plainKind)
	other := open(t, plainKind, r.Route())
	e := enter(t, r, "a", protocol.New)
	for i := range 500 {
		want := fmt.Sprintf("%03d", i)
		require.NoError(t, e.Publish(t.Context(), map[string]string{"n": want}, nil))
		seen, err := other.Look("a")
		require.NoError(t, err)
		require.Equal(t, want, seen.Attrs["n"])
	}
}

// What a caller does to its list is not seen by the next.
func TestListIsTheCallers(t *testing.T) {
	r := spawn(t, plainKind)
	e := enter(t, r, "a", protocol.New)
	require.NoError(t, e.Publish(t.Context(), map[string]string{"k": "v"}, nil))
	peers, rev, err := r.Peers(t.Context())
	require.NoError(t, err)
	peers[0].ID, peers[0].Attrs["k"] = "b", "w"
	peers, again, err := r.Peers(t.Context())
	require.NoError(t, err)
	require.Equal(t, rev, again)
	require.Equal(t, "a", peers[0].ID)
	require.Equal(t, "v", peers[0].Attrs["k"])
}

func TestNoGoroutineStays(t *testing.T) {
	before := runtime.NumGoroutine()
	r := spawn(t, plainKind)
	c := start(t, "hold", r.Route(), "a")
	require.Equal(t, "held", c.line())
	require.NoError(t, r.Changed(t.Context(), 0))
	require.NoError(t, r.Unspawn(t.Context()))
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	c.kill()
	deadline := time.Now().Add(stuck)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
}

func FuzzDecode(f *testing.F) {
	good, err := json.Marshal(&record{ID: "a", State: state(protocol.Active), PID: 1, Token: "1-2-3"})
	require.NoError(f, err)
	f.Add(good)
	f.Add([]byte(`{"id":"a","state":"gone","stats":"AAA="}`))
	f.Add([]byte(`{"id":"a","state":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := decode("a", data)
		if err == nil && (rec.ID != "a" || rec.state() == protocol.Active && !token.MatchString(rec.Token)) {
			t.Errorf("%q gives %+v", data, rec)
		}
	})
}

// That directories are polled is told to a client, once.
func TestPollingIsTold(t *testing.T) {
	t.Setenv("IPCMGR_POLL", "1")
	r := spawn(t, plainKind)
	require.NoError(t, r.Changed(t.Context(), 0)) // nobody to tell yet
	told := 0
	for _, id := range []string{"a", "b"} {
		o := options(id, protocol.New)
		o.Notice = func(error) { told++ }
		_, err := r.Enter(t.Context(), o, noSetup)
		require.NoError(t, err)
	}
	require.Equal(t, 1, told)
}
