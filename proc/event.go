package proc

import (
	"context"
	"iter"
	"sync"
	"time"
)

// What says what an Event is about.
type What string

// Started, or Restarted, is followed by Ready, and that by Crashed, Ended or
// Stopped. A worker may also crash before it is ready, or cannot be started. GaveUp is the
// last event, of the supervisor itself.
const (
	Started   What = "started"
	Ready     What = "ready"     // connected
	Crashed   What = "crashed"   // ended, and not with status 0
	Restarted What = "restarted" // started again
	Ended     What = "ended"     // with status 0: it is not started again
	Stopped   What = "stopped"   // by the supervisor
	GaveUp    What = "gave up"   // more crashes than the strategy allows
)

// Event is what happened to a worker.
type Event struct {
	N    int // counts the events of a supervisor from 1: a reader that was too slow sees a gap
	Time time.Time
	ID   string // of the worker; "" for GaveUp
	What What
	Err  error // of Crashed and Stopped, an *ExitError if it had been started; of GaveUp
}

// Events yields what has happened and what happens, as it does, until the
// supervisor has ended, or ctx has. Each call begins with the oldest
// event that is kept; the last thousand are.
func (s *Supervisor) Events(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		next := 1
		for {
			events, changed := s.journal.from(next)
			for _, e := range events {
				if ctx.Err() != nil || !yield(e) {
					return
				}
				next = e.N + 1
			}
			if len(events) > 0 {
				continue
			}
			if changed == nil {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// keptEvents is how many events a journal keeps for those who read later.
const keptEvents = 1000

// journal is what has happened.
type journal struct {
	mu      sync.Mutex
	n       int
	kept    []Event
	changed chan struct{} // closed at the next change; nil when there will be none
}

func (j *journal) init() { j.changed = make(chan struct{}) }

func (j *journal) add(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.n++
	e.N, e.Time = j.n, time.Now()
	if len(j.kept) == keptEvents {
		j.kept = j.kept[1:]
	}
	j.kept = append(j.kept, e)
	close(j.changed)
	j.changed = make(chan struct{})
}

// from gives the kept events from the one numbered n, and what is closed when
// there are more.
func (j *journal) from(n int) ([]Event, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first := j.n - len(j.kept) + 1
	return j.kept[min(max(0, n-first), len(j.kept)):], j.changed
}

// close says that nothing more happens.
func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.changed)
	j.changed = nil
}
