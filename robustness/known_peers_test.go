package robustness

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/trial"
)

// Elsewhere, two sides that connect at once lose messages that were reported
// sent.
func TestConnectingAtOnceLosesNothing(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		for round := range 10 {
			a, b := fmt.Sprint("a", round), fmt.Sprint("b", round)
			const count = 20
			var both sync.WaitGroup
			for _, pair := range [][2]string{{a, b}, {b, a}} {
				both.Go(func() {
					c := w.connect(pair[0])
					if err := w.store.WaitPeer(w.ctx, pair[1]); err != nil {
						w.Error(err)
						return
					}
					for _, text := range numbered(pair[0], count) {
						if err := c.Send(w.ctx, pair[1], text); err != nil {
							w.Error(err)
						}
					}
					for _, want := range numbered(pair[1], count) {
						got, err := ipcmgr.ReceiveAs[string](w.ctx, c)
						if err != nil || got != want {
							w.Errorf("%s got %q, %v instead of %q", pair[0], got, err, want)
							return
						}
					}
				})
			}
			both.Wait()
			for _, c := range w.store.Clients() {
				w.leave(c)
			}
		}
	})
}

// Elsewhere, SIGPIPE or a peer that exits kills the sender.
func TestExitingPeerDoesNotKillTheSender(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{MaxPending: 1000}, func(w *world) {
		sender, c := w.puppet("sender"), w.connect("c")
		for i := range 3 {
			victim := w.puppet("victim")
			sender.tell(order{Op: "send", To: "victim", N: 1 << 30, As: "x"})
			victim.do(order{Op: "receive", N: 100})
			if w.store.Features().Redelivers {
				// It goes on until the mailbox is full, and then waits: what it
				// waits for goes with Fresh.
				victim.kill()
				w.connect("victim", ipcmgr.Fresh()).Disconnect(w.ctx, nil)
			} else {
				victim.kill()
			}
			a := sender.hear()
			require.NotEmpty(w, a.Err, "the sender lives, and was told")
			require.GreaterOrEqual(w, a.N, 100)
			require.Equal(w, answer{N: 1}, sender.do(order{Op: "send", To: "c", N: 1, As: "c"}), i)
			require.Equal(w, []string{"c0"}, w.receive(c, 1))
		}
	})
}

// Elsewhere, a message to a dead peer is accepted, and swept away later without
// anyone being told.
func TestMessageToTheDeadIsKeptOrRefused(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		a, b := w.connect("a"), w.puppet("b")
		w.send(a, "b", "read")
		b.do(order{Op: "receive", N: 1})
		b.kill()
		err := a.Send(w.ctx, "b", "to the dead")
		if !w.store.Features().Redelivers {
			require.ErrorIs(w, err, ipcmgr.ErrPeerCrashed)
			w.connect("b", ipcmgr.Resume())
			w.send(a, "b", "to the living")
			return
		}
		require.NoError(w, err)
		// Others come and go, and what cleans up does.
		for i := range 5 {
			w.leave(w.connect(fmt.Sprint("c", i)))
			_, err := ipcmgr.Collect(w.ctx)
			require.NoError(w, err)
		}
		_, err = w.store.Connect(w.ctx, "b")
		require.ErrorIs(w, err, ipcmgr.ErrPeerCrashed)
		c, err := w.store.Reconnect(w.ctx, "b")
		require.NoError(w, err)
		got := w.receive(c, 2)
		require.Equal(w, []string{"read", "to the dead"}, got, "what was not acknowledged, and what came since")

		// And what Fresh drops is told by the audit.
		w.send(a, "b", "dropped")
		require.NoError(w, c.Suspend(w.ctx, noDeadline))
		w.leave(w.connect("b", ipcmgr.Fresh()))
		audit, err := w.store.Audit(w.ctx)
		require.NoError(w, err)
		require.Error(w, audit.Err())
	})
}

// Elsewhere, a directory that an earlier crash left blocks the name.
func TestLeftoversDoNotBlockAName(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		// What a process leaves that was killed while it connected: a mailbox
		// and no record.
		w.puppet("b").kill()
		require.NoError(w, os.Remove(w.dot("peers", "b")))
		for _, name := range []string{"b.pid", "b.stats"} {
			os.Remove(filepath.Join(w.route(), name))
		}
		b := w.connect("b")
		w.send(b, "b", "hello")
		w.receive(b, 1)
		w.leave(b)
		// And one that was killed while it left.
		require.NoError(w, os.MkdirAll(w.dot("box", "b", "waiters"), 0o700))
		require.NoError(w, os.WriteFile(w.dot("box", "b", "lock"), nil, 0o600))
		w.leave(w.connect("b"))
	})
}

// And of a store: one that was being made, or removed, when its process died.
func TestLeftoversDoNotBlockARoute(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		route := filepath.Join(w.base, "route")
		require.NoError(w, os.MkdirAll(filepath.Join(route, ".ipcmgr-abcdefgh", "peers"), 0o700))
		s, err := ipcmgr.Spawn(w.ctx, ipcmgr.Config{Protocol: ipcmgr.Names{w.protocol()}, Route: route})
		require.NoError(w, err)
		require.NoError(w, s.Shutdown(w.ctx))
	})
}

// Elsewhere, a peer that restarts under its name cannot be reached by those who
// knew it before.
func TestRestartedPeerIsReached(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		a, b := w.connect("a"), w.puppet("b")
		for life := range 4 {
			w.send(a, "b", fmt.Sprint("life ", life))
			require.Equal(w, []string{fmt.Sprint("life ", life)}, b.do(order{Op: "receive", N: 1}).Texts)
			require.Empty(w, b.do(order{Op: "send", To: "a", N: 1, As: "back"}).Err)
			w.receive(a, 1)
			require.Empty(w, b.do(order{Op: "rest"}))
			if life%2 == 0 {
				require.Empty(w, b.do(order{Op: "disconnect"}).Err)
			} else {
				b.kill()
			}
			b = w.puppet("b")
		}
	})
}

// Elsewhere, "..", ".x" or "x.pid" as a peer's name escapes or hides.
func TestNamesThatEscapeAreRefused(t *testing.T) {
	names := []string{"", ".", "..", ".x", "../x", "_x", "0", "x.pid", "x.name", "x.resume", "x.stats", "x.suspend", "x.pend",
		"spawn", "\xff", strings.Repeat("x", 513), "../../../../tmp/x.stats"}
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		a := w.connect("a")
		for _, name := range names {
			_, err := w.store.Connect(w.ctx, name)
			require.ErrorIs(w, err, ipcmgr.ErrBadID, name)
			_, err = w.store.Reconnect(w.ctx, name)
			require.ErrorIs(w, err, ipcmgr.ErrBadID, name)
			require.ErrorIs(w, a.Send(w.ctx, name, 1), ipcmgr.ErrBadID, name)
		}
		// Those that only look like it are names like others, and stay inside.
		strange := []string{"a/../../../../b", "/", "x\n", `\`, "h-x", "CON", "x.", "-", "é", strings.Repeat("y", 512)}
		for _, name := range strange {
			c := w.connect(name)
			w.send(a, name, name)
			require.Equal(w, []string{name}, w.receive(c, 1))
			w.leave(c)
		}
		entries, err := os.ReadDir(w.base)
		require.NoError(w, err)
		for _, e := range entries {
			require.Equal(w, "ipcmgr", e.Name(), "outside of the store")
		}
	})
}

// Elsewhere, statistics torn by a crash make it impossible to reconnect.
func TestTornStatisticsDoNotPreventReconnecting(t *testing.T) {
	over(t, trial.Viable("fsqueue", "bbolt", "shm"), ipcmgr.Config{}, func(w *world) {
		a := w.connect("a")
		b := w.connect("b")
		sides := []string{w.dot("peers", "b")}
		if w.protocol() == "fsqueue" {
			sides = append(sides, filepath.Join(w.route(), "b.stats"))
		}
		for _, path := range sides {
			for part := range 8 {
				w.send(a, "b", "kept")
				require.NoError(w, b.Suspend(w.ctx, noDeadline))
				whole, err := os.ReadFile(path)
				require.NoError(w, err)
				require.NoError(w, os.Truncate(path, int64(len(whole)*part/8)))
				b, err = w.store.Connect(w.ctx, "b", ipcmgr.Resume())
				require.NoError(w, err, "%d of %d bytes of %s", len(whole)*part/8, len(whole), path)
				require.Equal(w, []string{"kept"}, w.receive(b, 1))
				w.send(b, "a", "back")
				w.receive(a, 1)
			}
		}
		w.leave(b)
		_, err := w.store.Audit(w.ctx)
		require.NoError(w, err)
	})
	// What is torn of a client that is gone keeps no one from its name, and the
	// audit says what it does not know.
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		a, b := w.connect("a"), w.connect("b")
		w.send(b, "a", "hello")
		w.receive(a, 1)
		_, err := a.Poll(w.ctx, 1) // which puts it on record
		require.NoError(w, err)
		w.leave(b)
		garble(w, "b")
		audit, err := w.store.Audit(w.ctx)
		require.NoError(w, err)
		require.ErrorContains(w, audit.Err(), `what "b" counted is not known`)
		w.leave(w.connect("b", ipcmgr.Resume(), ipcmgr.Logger(silent)))

		anonymous, err := w.store.ConnectAnonymous(w.ctx)
		require.NoError(w, err)
		w.leave(anonymous)
		garble(w, "_cli")
		anonymous, err = w.store.ConnectAnonymous(w.ctx, ipcmgr.Logger(silent))
		require.NoError(w, err)
		w.leave(anonymous)
	})
}

// garble makes the statistics in a record such that they do not decode.
func garble(w *world, id string) {
	path := w.dot("peers", id)
	data, err := os.ReadFile(path)
	require.NoError(w, err)
	var record map[string]any
	require.NoError(w, json.Unmarshal(data, &record))
	record["stats"] = []byte(`{"sent":{"a":`)
	data, err = json.Marshal(record)
	require.NoError(w, err)
	require.NoError(w, os.WriteFile(path, data, 0o600))
	os.Truncate(filepath.Join(w.route(), id+".stats"), 5)
}
