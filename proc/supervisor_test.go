//go:build unix

package proc_test

import (
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
)

// Workers that are killed come back with their mailboxes, and every message
// is answered.
func TestSuperviseKilledWorkers(t *testing.T) {
	for _, protocol := range keepers() {
		kind := protocol + "+" + map[bool]string{true: "msgpack", false: "json"}[protocol == "bbolt"]
		for name, cmd := range map[string]func() *exec.Cmd{
			"plain":   echo.Cmd,
			"wrapped": func() *exec.Cmd { return wrapped(echo) },
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				st := spawn(t, kind)
				ctx := testContext(t)
				me := connect(t, st, "me")
				sup, err := proc.Supervise(ctx, st, proc.Strategy{Restarts: 100, Backoff: time.Millisecond},
					proc.Spec{ID: "w1", Cmd: cmd}, proc.Spec{ID: "w2", Cmd: cmd})
				require.NoError(t, err)
				require.NoError(t, sup.Ready(ctx))

				const n = 300
				seen := map[int]bool{}
				for i := range n {
					require.NoError(t, me.Send(ctx, []string{"w1", "w2"}[i%2], i))
					if i%100 == 50 {
						kill(t, st, []string{"w1", "w2"}[i/100%2])
					}
				}
				for len(seen) < n { // what comes twice is what was in hand
					answer, err := ipcmgr.ReceiveAs[int](ctx, me)
					require.NoError(t, err)
					seen[answer] = true
				}
				require.NoError(t, sup.Ready(ctx))
				require.NoError(t, sup.Stop(ctx))
				require.NoError(t, sup.Wait(ctx))
				events := slices.Collect(sup.Events(ctx))
				require.Equal(t, proc.Stopped, events[len(events)-1].What)
				restarts := 0
				for _, e := range events {
					switch e.What {
					case proc.Restarted:
						restarts++
					case proc.Crashed:
						require.ErrorContains(t, e.Err, "ended: ")
					}
				}
				require.Equal(t, 3, restarts, events)
			})
		}
	}
}

// Workers that end because another one crashed lose nothing: not what they had
// not read, and not what is sent to them until they are back, although all
// that they know is that they are to end, and do.
func TestAllForOneKeepsMailboxes(t *testing.T) {
	for _, protocol := range keepers() {
		for name, before := range map[string]func() *exec.Cmd{
			"plain":    stubborn.Cmd,
			"wrapped":  func() *exec.Cmd { return wrapped(stubborn) },
			"follower": follower,
		} {
			t.Run(protocol+" "+name, func(t *testing.T) {
				st := spawn(t, protocol+"+json")
				ctx := testContext(t)
				me := connect(t, st, "me")
				starts := 0
				sup, err := proc.Supervise(ctx, st, proc.Strategy{Restarts: 2, Backoff: time.Millisecond, AllForOne: true},
					proc.Spec{ID: "a", Cmd: echo.Cmd},
					proc.Spec{ID: "b", Cmd: func() *exec.Cmd {
						if starts++; starts == 1 {
							return before()
						}
						return echo.Cmd()
					}})
				require.NoError(t, err)
				require.NoError(t, sup.Ready(ctx))
				const n = 20
				for i := range n {
					if i == n/2 {
						kill(t, st, "a")
					}
					require.NoError(t, me.Send(ctx, "b", i))
				}
				for i := range n {
					m, err := me.Receive(ctx)
					require.NoError(t, err)
					var answer int
					require.NoError(t, m.Decode(&answer))
					require.Equal(t, i, answer)
				}
				kill(t, st, "a") // the next one of b is waiting for a message
				ready, stops := 0, 0
				for e := range sup.Events(ctx) {
					if e.What == proc.Ready {
						ready++
					}
					if ready == 6 { // both, three times
						break
					}
				}
				require.NoError(t, sup.Stop(ctx))
				for e := range sup.Events(ctx) {
					if e.ID == "b" && e.What == proc.Stopped {
						require.NoError(t, e.Err)
						stops++
					}
				}
				require.Equal(t, 3, stops)
				require.NoError(t, me.Disconnect(ctx, nil))
				require.NoError(t, st.Shutdown(ctx)) // and the audit
			})
		}
	}
}

// kill kills the process that holds the id, not what stands around it, and
// returns when that is seen.
func kill(t testing.TB, st *ipcmgr.Store, id string) {
	ctx := testContext(t)
	require.NoError(t, st.WaitPeer(ctx, id))
	victim, err := st.Peer(ctx, id)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(victim.PID, syscall.SIGKILL))
	for p, err := range st.Watch(ctx) {
		require.NoError(t, err)
		if p.ID == id && (p.PID != victim.PID || p.State != ipcmgr.Active) {
			return
		}
	}
}

func TestSupervisorGivesUpOnAWorkerThatCannotWork(t *testing.T) {
	st := spawn(t, "unixsocket+json")
	ctx := testContext(t)
	sup, err := proc.Supervise(ctx, st, proc.Strategy{Restarts: 2, Backoff: time.Millisecond},
		proc.Spec{ID: "bad", Cmd: func() *exec.Cmd { return exec.Command("sh", "-c", "echo no database >&2; exit 7") }},
		proc.Spec{ID: "good", Cmd: echo.Cmd})
	require.NoError(t, err)
	err = sup.Ready(ctx)
	require.ErrorContains(t, err, "more than 2 restarts within 1m0s")
	require.ErrorContains(t, err, "exit status 7; it last wrote: no database")
	require.Equal(t, err, sup.Wait(ctx))
	require.NoError(t, st.Wait(ctx), "the good one was stopped")
}

// A new parent takes over the store of one that was killed, while the workers
// of that one are still about to end.
func TestSuperviseAfterAKilledParent(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	ctx := testContext(t)
	for range 3 {
		before, err := family.Start(ctx, st, "parent")
		require.NoError(t, err)
		require.NoError(t, st.WaitPeer(ctx, "parent-child", "parent-wrapped"))
		require.NoError(t, syscall.Kill(before.PID(), syscall.SIGKILL))
		sup, err := proc.Supervise(ctx, st, proc.Strategy{}, proc.Spec{ID: "parent-child", Cmd: echo.Cmd}, proc.Spec{ID: "parent-wrapped", Cmd: echo.Cmd})
		require.NoError(t, err)
		require.NoError(t, sup.Ready(ctx))
		require.NoError(t, sup.Stop(ctx))
		require.Error(t, before.Wait(ctx))
	}
}
