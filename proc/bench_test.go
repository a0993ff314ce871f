//go:build unix

package proc_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/proc"
)

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
