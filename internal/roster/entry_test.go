package roster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/disk/diskfault"
	"github.com/ipcmgr/ipcmgr/internal/process"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Every cell of the table: what stands under an id against the mode.
func TestModes(t *testing.T) {
	suspend := func(t *testing.T, r *Roster) {
		e := enter(t, r, "a", protocol.New)
		require.NoError(t, e.Leave(t.Context(), protocol.Departure{Suspend: true}, nil))
	}
	before := map[protocol.State]func(*testing.T, *Roster){
		protocol.Gone:      func(t *testing.T, r *Roster) {},
		protocol.Active:    func(t *testing.T, r *Roster) { enter(t, r, "a", protocol.New) },
		protocol.Suspended: suspend,
		protocol.Crashed:   func(t *testing.T, r *Roster) { killed(t, r, "a") },
	}
	want := map[protocol.State][3]error{ // New, Reconnect, Resume
		protocol.Gone:      {nil, protocol.ErrNoPeer, nil},
		protocol.Active:    {protocol.ErrPeerActive, protocol.ErrPeerActive, protocol.ErrPeerActive},
		protocol.Suspended: {protocol.ErrPeerSuspended, nil, nil},
		protocol.Crashed:   {protocol.ErrPeerCrashed, nil, nil},
	}
	for state, prepare := range before {
		for mode, wanted := range want[state] {
			t.Run(fmt.Sprint(state, mode), func(t *testing.T) {
				r := spawn(t, plainKind)
				prepare(t, r)
				called := false
				e, err := r.Enter(t.Context(), options("a", protocol.Mode(mode)), func(*Entry) error { called = true; return nil })
				require.Equal(t, wanted == nil, called)
				if wanted != nil {
					require.ErrorIs(t, err, wanted)
					return
				}
				require.NoError(t, err)
				require.Equal(t, state, e.Found)
				if state == protocol.Gone {
					require.EqualValues(t, 1, e.Epoch)
				} else {
					require.EqualValues(t, 2, e.Epoch)
				}
			})
		}
	}
}

func TestWhatARecordKeeps(t *testing.T) {
	r := spawn(t, plainKind)
	other := open(t, plainKind, r.Route())
	e := enter(t, r, "a", protocol.New)
	attrs := map[string]string{"k": "v"}
	require.NoError(t, e.Publish(t.Context(), attrs, []byte("1")))
	seen, err := other.Look("a")
	require.NoError(t, err)
	require.Equal(t, attrs, seen.Attrs)
	require.Equal(t, process.Self(), process.ID{PID: seen.PID, Start: seen.Start})
	require.EqualValues(t, 1, seen.Epoch)

	until := time.Now().Add(time.Hour)
	require.NoError(t, e.Leave(t.Context(), protocol.Departure{Suspend: true, Until: until, Stats: []byte("2")}, nil))
	require.ErrorIs(t, e.Leave(t.Context(), protocol.Departure{}, nil), protocol.ErrClosed)
	require.ErrorIs(t, e.Publish(t.Context(), nil, nil), protocol.ErrClosed)
	seen, err = other.Look("a")
	require.NoError(t, err)
	require.Equal(t, protocol.Suspended, seen.State)
	require.True(t, until.Equal(seen.Until))
	require.Equal(t, attrs, seen.Attrs)

	e = enter(t, other, "a", protocol.Reconnect)
	require.Equal(t, attrs, e.Attrs)
	require.Equal(t, []byte("2"), e.Stats)
	cleared := false
	require.NoError(t, e.Leave(t.Context(), protocol.Departure{}, func() error { cleared = true; return nil }))
	require.True(t, cleared)
	_, err = r.Look("a")
	require.ErrorIs(t, err, protocol.ErrNoPeer)
	stats, err := r.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"a": []byte("2")}, stats)

	e = enter(t, r, "a", protocol.New)
	require.EqualValues(t, 3, e.Epoch)
	require.Equal(t, []byte("2"), e.Stats)
	require.Empty(t, e.Attrs)
}

func TestFold(t *testing.T) {
	r := spawn(t, plainKind)
	for i := range 3 {
		id := fmt.Sprint("unnamed", i)
		e := enter(t, r, id, protocol.New)
		require.NoError(t, e.Leave(t.Context(), protocol.Departure{
			Under: "_cli",
			Fold:  func(old []byte) ([]byte, error) { return append(old, 'x'), nil },
		}, nil))
		_, err := os.Lstat(r.Path("peers", id))
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	stats, err := r.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"_cli": []byte("xxx")}, stats)
}

func TestSetupThatFails(t *testing.T) {
	r := spawn(t, plainKind)
	broken := errors.New("broken")
	_, err := r.Enter(t.Context(), options("a", protocol.New), func(*Entry) error { return broken })
	require.ErrorIs(t, err, broken)
	_, err = r.Look("a")
	require.ErrorIs(t, err, protocol.ErrNoPeer)
	enter(t, r, "a", protocol.New)
}

// A record that cannot be written leaves the id as it was. One that cannot say
// how its client has left says that it crashed, as soon as it can be written.
func TestRecordThatCannotBeWritten(t *testing.T) {
	var broken error
	k := &Kind{Protocol: "test", FS: diskfault.New(disk.Real, func(op, name string) error {
		if op == "rename" {
			return broken
		}
		return nil
	})}
	r := spawn(t, k)
	e := enter(t, r, "a", protocol.New)
	broken = syscall.ENOSPC
	require.ErrorIs(t, e.Publish(t.Context(), nil, []byte("lost")), syscall.ENOSPC)
	require.ErrorIs(t, e.Leave(t.Context(), protocol.Departure{Suspend: true}, nil), syscall.ENOSPC)
	_, err := r.Enter(t.Context(), options("b", protocol.New), noSetup)
	require.ErrorIs(t, err, syscall.ENOSPC)
	broken = nil
	require.ErrorIs(t, e.Leave(t.Context(), protocol.Departure{Suspend: true}, nil), protocol.ErrClosed)
	_, err = r.Look("b")
	require.ErrorIs(t, err, protocol.ErrNoPeer)
	again := enter(t, r, "a", protocol.Resume)
	require.Equal(t, protocol.Crashed, again.Found)
	require.Empty(t, again.Stats)
	left, err := os.ReadDir(r.Path("tmp"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func init() {
	roles["die in setup"] = func(args []string) {
		r, err := plainKind.Open(context.Background(), args[0])
		check(err)
		r.Enter(context.Background(), options("a", protocol.New), func(e *Entry) error {
			check(os.Mkdir(r.Box(e.Key), 0o700))
			self, err := os.FindProcess(os.Getpid())
			check(err)
			return self.Kill()
		})
	}
	roles["race"] = func(args []string) {
		r, err := plainKind.Open(context.Background(), args[0])
		check(err)
		_, err = r.Enter(context.Background(), options("a", protocol.Resume), noSetup)
		if errors.Is(err, protocol.ErrPeerActive) {
			stay("active")
			return
		}
		check(err)
		stay("won")
	}
}

// A crash between the mailbox and the record: the id is free, and the lock too.
func TestCrashInSetup(t *testing.T) {
	r := spawn(t, plainKind)
	c := start(t, "die in setup", r.Route())
	c.Wait()
	require.DirExists(t, r.Box("a"))
	peers, _, err := r.Peers(t.Context())
	require.NoError(t, err)
	require.Empty(t, peers)
	e := enter(t, r, "a", protocol.New)
	require.Equal(t, protocol.Gone, e.Found)
}

func TestOneOfManyWinsAnID(t *testing.T) {
	r := spawn(t, plainKind)
	for range 3 { // a free id, then a crashed one
		var racers []*child
		for range 8 {
			racers = append(racers, start(t, "race", r.Route()))
		}
		won := 0
		for _, c := range racers {
			switch said := c.line(); said {
			case "won":
				won++
			case "active":
			default:
				t.Fatal(said)
			}
		}
		require.Equal(t, 1, won)
		for _, c := range racers {
			c.kill()
		}
	}
}

func TestEndingRefusesAll(t *testing.T) {
	r := spawn(t, plainKind)
	e := enter(t, r, "a", protocol.New)
	require.NoError(t, e.Leave(t.Context(), protocol.Departure{Suspend: true}, nil))
	require.NoError(t, r.End(t.Context()))
	for _, id := range []string{"a", "b"} {
		_, err := r.Enter(t.Context(), options(id, protocol.Resume), noSetup)
		require.ErrorIs(t, err, protocol.ErrEnding)
	}
}

// What is damaged counts as crashed, and costs no more than what it said.
func TestDamagedRecords(t *testing.T) {
	damage := map[string]func(path string) error{
		"torn":  func(path string) error { return os.WriteFile(path, []byte(`{"id":"a","ep`), 0o600) },
		"empty": func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"lying": func(path string) error { return os.WriteFile(path, []byte(`{"id":"b","state":"gone"}`), 0o600) },
		"astray": func(path string) error {
			return os.WriteFile(path, []byte(`{"id":"a","state":"active","pid":1,"token":"../lock"}`), 0o600)
		},
		"huge":   func(path string) error { return os.Truncate(path, maxRecord+1) },
		"a link": func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path)) },
		"a dir":  func(path string) error { return errors.Join(os.Remove(path), os.MkdirAll(path+"/x", 0o700)) },
	}
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			r := spawn(t, plainKind)
			e := enter(t, r, "a", protocol.New)
			require.NoError(t, e.Leave(t.Context(), protocol.Departure{Suspend: true}, nil))
			require.NoError(t, do(r.Path("peers", "a")))
			peers, _, err := r.Peers(t.Context())
			require.NoError(t, err)
			require.Equal(t, []protocol.Peer{{ID: "a", State: protocol.Crashed}}, peers)
			_, err = r.Stats(t.Context())
			require.NoError(t, err)
			_, err = r.Enter(t.Context(), options("a", protocol.New), noSetup)
			require.ErrorIs(t, err, protocol.ErrPeerCrashed)
			e = enter(t, r, "a", protocol.Reconnect)
			require.Equal(t, protocol.Crashed, e.Found)
			require.Greater(t, e.Epoch, uint64(1<<30))
			aside, err := os.ReadDir(r.Path("corrupt"))
			require.NoError(t, err)
			require.Len(t, aside, 1)
		})
	}
}

// The store is gone under the hands of a client.
func TestCallsAfterUnspawn(t *testing.T) {
	r := spawn(t, plainKind)
	other := open(t, plainKind, r.Route())
	e := enter(t, other, "a", protocol.New)
	require.ErrorIs(t, other.Unspawn(t.Context()), protocol.ErrNotOwner)
	require.NoError(t, r.Unspawn(t.Context()))
	again, err := plainKind.Spawn(t.Context(), r.Route(), settings)
	require.NoError(t, err)
	defer again.Close()

	_, err = other.Look("a")
	require.ErrorIs(t, err, protocol.ErrNoStore)
	_, _, err = other.Peers(t.Context())
	require.ErrorIs(t, err, protocol.ErrNoStore)
	_, err = other.Stats(t.Context())
	require.ErrorIs(t, err, protocol.ErrNoStore)
	require.ErrorIs(t, e.Publish(t.Context(), nil, nil), protocol.ErrNoStore)
	require.ErrorIs(t, e.Leave(t.Context(), protocol.Departure{}, nil), protocol.ErrNoStore)
	require.ErrorIs(t, other.Own(t.Context(), true), protocol.ErrNoStore)
	require.ErrorIs(t, other.End(t.Context()), protocol.ErrNoStore)
	require.False(t, other.Owned())
	_, err = other.Enter(t.Context(), options("b", protocol.New), noSetup)
	require.ErrorIs(t, err, protocol.ErrNoStore)
	require.NoError(t, other.Close())

	peers, _, err := again.Peers(t.Context())
	require.NoError(t, err)
	require.Empty(t, peers)
	require.NoError(t, again.Unspawn(t.Context()))
}

// A handle that closes leaves its clients as crashed, though its process lives.
func TestCloseAbandons(t *testing.T) {
	r := spawn(t, plainKind)
	other := open(t, plainKind, r.Route())
	enter(t, r, "keeps the process present", protocol.New)
	e := enter(t, other, "a", protocol.New)
	require.NoError(t, e.Publish(t.Context(), nil, []byte("stats")))
	require.NoError(t, other.Close())
	seen, err := r.Look("a")
	require.NoError(t, err)
	require.Equal(t, protocol.Crashed, seen.State)
	require.Equal(t, []byte("stats"), enter(t, r, "a", protocol.Reconnect).Stats)
	_, _, err = other.Peers(t.Context())
	require.ErrorIs(t, err, protocol.ErrClosed)
	_, err = other.Look("a")
	require.ErrorIs(t, err, protocol.ErrClosed)
}
