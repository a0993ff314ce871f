package proc

import (
	"sync"
	"time"
)

// intensity counts restarts within a period.
type intensity struct {
	max int
	per time.Duration

	mu   sync.Mutex
	past []time.Time // of restarts, the oldest first
}

// allows says whether there may be one more restart, and counts it if so.
func (i *intensity) allows(now time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for len(i.past) > 0 && now.Sub(i.past[0]) >= i.per {
		i.past = i.past[1:]
	}
	if len(i.past) >= i.max {
		return false
	}
	i.past = append(i.past, now)
	return true
}
