//go:build linux && !ipcmgr_fallback

package service_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/trial"
)

// A service that has nothing to do, and has made a call itself, makes no system
// calls: whatever woke it would end with a thread that goes to sleep again, and
// the system counts that. So there comes a stretch without any. A collection of
// garbage, or a machine that stops the process, only puts it off; what is
// periodic puts it off for ever.
func TestIdleServiceSleeps(t *testing.T) {
	const looks, look = 50, 100 * time.Millisecond
	type idler struct {
		kid         *child
		first, last int
		quiet       int // looks without a change
	}
	idlers := map[string]*idler{} // by protocol
	for _, cfg := range kinds[1:] {
		st := spawn(t, cfg)
		kid := start(t, st, "idle")
		fmt.Fprintln(kid.in)
		kid.line(t) // it has made its call
		n, _, _ := trial.Sleeps(kid.Process.Pid)
		idlers[cfg.Protocol[0]] = &idler{kid: kid, first: n, last: n}
	}
	ctx := testContext(t)
	for restless := len(idlers); restless > 0; {
		select {
		case <-time.After(look):
		case <-ctx.Done():
			for name, i := range idlers {
				if i.quiet < looks {
					t.Errorf("%s: the threads of an idle service went to sleep %d times, and never rested for %v", name, i.last-i.first, looks*look)
				}
			}
			return
		}
		restless = 0
		for _, i := range idlers {
			if i.quiet >= looks {
				continue
			}
			restless++
			n, all, ok := trial.Sleeps(i.kid.Process.Pid)
			require.True(t, ok, "the service has ended")
			if i.quiet++; n != i.last || !all {
				i.quiet, i.last = 0, n
			}
		}
	}
	for _, i := range idlers {
		i.kid.in.Close() // it ends
		require.NoError(t, i.kid.Wait())
	}
}
