package ipcmgr

import (
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// stamper gives the messages of a client what tells them apart: an id, and a
// time that no earlier one has, in the resolution in which it is written,
// whatever the clock does: Perl sorts by it. One call stamps a whole batch.
type stamper struct {
	mu     sync.Mutex
	clock  clock
	micros int64  // of the last message
	ord    uint64 // orders those with the same micros
	ids    idSeries
	peer   string // the last one that CheckID had nothing against
}

// stamp stamps n messages to one peer: the first has the ord it returns, each
// further one the next. Their ids are appended to ids.
func (s *stamper) stamp(to string, n int, ids []byte) (micros int64, ord uint64, _ []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to != s.peer || to == "" {
		if err := protocol.CheckID(to); err != nil {
			return 0, 0, ids, err
		}
		s.peer = to
	}
	if now := s.clock.micros(); now > s.micros {
		s.micros, s.ord = now, 0
	} else {
		s.ord++
	}
	ord = s.ord
	s.ord += uint64(max(n, 1) - 1)
	for range n {
		ids = s.ids.next(ids, s.micros/1000)
	}
	return s.micros, ord, ids, nil
}

// clock reads the time at half the price of time.Now: it looks at the wall
// once a second, and else at the monotonic clock alone.
type clock struct {
	anchor time.Time
	wall   int64 // anchor in microseconds since the epoch
}

func (c *clock) micros() int64 {
	since := time.Since(c.anchor)
	if since > time.Second {
		c.anchor, since = time.Now(), 0
		c.wall = c.anchor.UnixMicro()
	}
	return c.wall + since.Microseconds()
}
