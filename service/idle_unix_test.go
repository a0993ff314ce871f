//go:build unix

package service_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/service"
)

func init() { roles["idle"] = playIdle }

// playIdle is a service and a caller that made one call, and prints for each
// line of its input how much processor time it has used, in nanoseconds.
func playIdle(ctx context.Context) error {
	return as(ctx, "svc", func(c ipcmgr.Client) error {
		s := service.New(c)
		echo(s)
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx) }()
		if _, err := service.Call[string](ctx, s.Caller(), "svc", service.PingMethod, nil); err != nil {
			return err
		}
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			fmt.Println(used())
		}
		s.End()
		return <-ended
	})
}

// used is the processor time of this process so far.
func used() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return -1
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkIdle tells the processor time that a service, which has made a call
// itself, uses in 10 s of waiting.
//
//	go test -run '^$' -bench Idle -benchtime 1x ./service
func BenchmarkIdle(b *testing.B) {
	for _, cfg := range kinds[1:] {
		b.Run(cfg.Protocol[0], func(b *testing.B) {
			st := spawn(b, cfg)
			kid := start(b, st, "idle")
			require.NoError(b, st.WaitPeer(testContext(b), "svc"))
			ask := func() (ns int64) {
				fmt.Fprintln(kid.in)
				_, err := fmt.Sscan(kid.line(b), &ns)
				require.NoError(b, err)
				return ns
			}
			ask()
			before := ask()
			<-time.After(10 * time.Second)
			b.ReportMetric(float64(ask()-before)/1e3, "cpu-µs/10s")
			b.ReportMetric(0, "ns/op")
			require.NoError(b, st.Terminate(testContext(b)))
			kid.in.Close()
			require.NoError(b, kid.Wait())
		})
	}
}
