package proc_test

import (
	"bytes"
	"context"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
)

func TestChildOutput(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	ctx := testContext(t)
	var told bytes.Buffer
	lines := proc.LinesTo(&told) // one for both: they take turns
	for _, id := range []string{"a", "b"} {
		cmd := chatty.Cmd()
		var own bytes.Buffer
		cmd.Stdout, cmd.Stderr = &own, &own
		child, err := proc.Start(ctx, st, id, cmd, lines)
		require.NoError(t, err)
		require.NoError(t, child.Wait(ctx))
		require.Equal(t, "one\ntwo\nno newline", own.String(), "in the order in which it was written")
	}
	require.Equal(t, "a: one\na: two\na: no newline\nb: one\nb: two\nb: no newline\n", told.String())

	var mu sync.Mutex
	var got []string
	child, err := chatty.Start(ctx, st, "c", proc.Lines(func(id, line string) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, id+" "+line)
	}))
	require.NoError(t, err)
	require.NoError(t, child.Wait(ctx))
	require.ElementsMatch(t, []string{"c one", "c two", "c no newline"}, got)
}

// Workers that are killed come back with their mailboxes, and every message
// is answered.
func TestSuperviseKilledWorkers(t *testing.T) {
	for _, kind := range []string{"fsqueue+json", "bbolt+msgpack"} {
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
				require.Equal(t, 3, restarts)
			})
		}
	}
}

// kill kills the process that holds the id, not what stands around it.
func kill(t testing.TB, st *ipcmgr.Store, id string) {
	require.NoError(t, st.WaitPeer(testContext(t), id))
	p, err := st.Peer(testContext(t), id)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(p.PID, syscall.SIGKILL))
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

// From a crash to the replacement's being ready, and from a parent's SIGKILL
// to the end of its children.
func BenchmarkRestart(b *testing.B) {
	for _, kind := range []string{"fsqueue+json", "unixsocket+json", "bbolt+json"} {
		b.Run(strings.TrimSuffix(kind, "+json"), func(b *testing.B) {
			st := spawn(b, kind)
			ctx := b.Context()
			sup, err := proc.Supervise(ctx, st, proc.Strategy{Restarts: 1 << 30, MaxBackoff: time.Nanosecond}, proc.Spec{ID: "w", Cmd: echo.Cmd})
			require.NoError(b, err)
			require.NoError(b, sup.Ready(ctx))
			ready := make(chan struct{})
			go func() {
				for e := range sup.Events(ctx) {
					if e.What == proc.Ready {
						ready <- struct{}{}
					}
				}
			}()
			<-ready
			for b.Loop() {
				kill(b, st, "w")
				<-ready
			}
			b.StopTimer()
			require.NoError(b, sup.Stop(context.Background()))
		})
	}
}

func BenchmarkKilledParent(b *testing.B) {
	for _, kind := range []string{"fsqueue+json", "unixsocket+json", "bbolt+json"} {
		b.Run(strings.TrimSuffix(kind, "+json"), func(b *testing.B) {
			st := spawn(b, kind)
			ctx := testContext(b)
			for b.Loop() {
				b.StopTimer()
				alive := newPipeEnd(b)
				cmd := family.Cmd()
				alive.giveTo(cmd)
				parent, err := proc.Start(ctx, st, "parent", cmd)
				require.NoError(b, err)
				require.NoError(b, st.WaitPeer(ctx, "parent", "parent-child", "parent-wrapped"))
				b.StartTimer()
				require.NoError(b, syscall.Kill(parent.PID(), syscall.SIGKILL))
				alive.wait(b)
				b.StopTimer()
				require.Error(b, parent.Wait(ctx))
				b.StartTimer()
			}
		})
	}
}
