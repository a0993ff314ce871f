//go:build linux && !ipcmgr_fallback

package service_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
		n, _ := sleeps(t, kid.Process.Pid)
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
			n, all := sleeps(t, i.kid.Process.Pid)
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

// sleeps counts how often the threads of a process have gone to sleep, and says
// whether all sleep: none runs, is about to, or was stopped.
func sleeps(t *testing.T, pid int) (n int, all bool) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	require.NoError(t, err)
	require.NotEmpty(t, files, "the service has ended")
	all = true
	for _, file := range files {
		status, err := os.ReadFile(file)
		if err != nil { // a thread that has just ended
			continue
		}
		for line := range strings.Lines(string(status)) {
			if state, is := strings.CutPrefix(line, "State:\t"); is && !strings.HasPrefix(state, "S") {
				all = false
			}
			var count int
			if _, err := fmt.Sscanf(line, "voluntary_ctxt_switches: %d", &count); err == nil {
				n += count
			}
		}
	}
	return n, all
}
