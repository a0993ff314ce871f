//go:build linux && !ipcmgr_fallback

package shm

import (
	"context"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/gate"
)

// spin is a reader's patience: to look for a while costs less than to sleep and
// be woken, if the next message comes soon. Where it did not a few times, as
// where there is but one processor for sender and reader, the reader sleeps at
// once, and tries again now and then.
type spin struct {
	misses int
	waits  uint
}

const (
	spinFor   = 45 * time.Microsecond
	spinTries = 3   // misses in a row until it stops
	spinProbe = 128 // waits until it is tried again
)

// heard looks for a ring for a while.
func (s *spin) heard(ctx context.Context, k *gate.Keeper) bool {
	s.waits++
	if s.misses >= spinTries && s.waits%spinProbe != 0 {
		return false
	}
	for start := time.Now(); ; {
		for range 64 {
			if k.Heard() {
				s.misses = 0
				return true
			}
		}
		if time.Since(start) > spinFor || ctx.Err() != nil {
			s.misses++
			return false
		}
	}
}
