package fsqueue

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/disk/diskfault"
	"github.com/ipcmgr/ipcmgr/internal/trial"
)

var allFaults = flag.Bool("fsqueue.faults", false, "let each file call fail with each error, instead of one after the other")

// faults are how a call fails.
var faults = []error{
	syscall.EIO, syscall.ENOSPC, syscall.EMFILE, syscall.EDQUOT, syscall.EINTR,
	&diskfault.ShortWrite{N: 3, Err: syscall.ENOSPC},
}

// breaker makes the nth file call fail, and if it lasts all that follow, until
// it is mended.
type breaker struct {
	n     int64
	err   error
	lasts bool

	calls  atomic.Int64
	mended atomic.Bool
	broke  atomic.Value // which call
}

func (b *breaker) hook(op, path string) error {
	n := b.calls.Add(1)
	if n == b.n || b.lasts && n > b.n && !b.mended.Load() {
		b.broke.CompareAndSwap(nil, op+" "+path)
		return b.err
	}
	if op == diskfault.Sync || op == diskfault.SyncDir {
		return diskfault.ErrSkip
	}
	return nil
}

// Whichever file call fails, the verb says so or is done all the same; what it
// said is true, and once the fault is gone the store works on.
func TestEachFileCallFails(t *testing.T) {
	for _, sync := range []bool{true, false} {
		if !sync && !*allFaults {
			continue // the calls are fewer, and no others
		}
		for _, lasts := range []bool{false, true} {
			t.Run(fmt.Sprintf("sync=%v/lasts=%v", sync, lasts), func(t *testing.T) {
				t.Parallel()
				runs := 0
				for n := 1; ; n++ {
					broke := false
					for i, fault := range faults {
						if *allFaults || i == n%len(faults) {
							broke = failNth(t, int64(n), fault, lasts, sync)
							runs++
						}
					}
					if !broke {
						break
					}
				}
				trial.Report(t, "%d faults", runs)
			})
		}
	}
}

func failNth(t *testing.T, n int64, fault error, lasts, sync bool) (broke bool) {
	b := &breaker{n: n, err: fault, lasts: lasts}
	ok := t.Run(fmt.Sprint(n), func(t *testing.T) {
		s := newScript(t, diskfault.New(disk.Real, b.hook), filepath.Join(memoryDir(t), "route"), sync)
		s.failed = func(verb string, err error) {
			t.Logf("%s: %v", verb, err)
			require.NotNil(t, b.broke.Load(), "%s failed by itself: %v", verb, err)
			require.True(t, errors.Is(err, fault) || b.mended.Load(), "%s hides why: %v", verb, err)
			b.mended.Store(true)
		}
		s.after = func(string, ...string) {
			if b.broke.Load() != nil {
				b.mended.Store(true)
			}
		}
		defer func() {
			if t.Failed() {
				t.Logf("%v in call %d: %v", fault, n, b.broke.Load())
			}
		}()
		s.run(t.Context())
		s.check()
		if !lasts { // or what was being made may stay, until a later Spawn clears it away
			require.NoDirExists(t, s.route)
		}
	})
	if !ok {
		t.FailNow()
	}
	return b.broke.Load() != nil
}
