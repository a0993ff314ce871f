package filelock

import (
	"context"
	"os"
	"sync"
)

// queue is the callers of this process that wait for the lock on one file.
// They share one goroutine, which waits in the kernel for the first of them.
type queue struct {
	file    os.FileInfo // what the goroutine waits for
	waiting []chan turn // in order of arrival; each has room for one turn
}

// turn is what a wait comes to.
type turn struct {
	hold *Hold
	err  error
}

var queues = struct {
	sync.Mutex
	at map[string]*queue
}{at: map[string]*queue{}}

// wait queues for the lock until ctx ends.
func wait(ctx context.Context, path string) (*Hold, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, wrap(path, err)
	}
	mine := make(chan turn, 1)
	q := join(path, f, info, mine)
	select {
	case t := <-mine:
		return t.hold, t.err
	case <-ctx.Done():
	}
	if q.leave(mine) {
		return nil, context.Cause(ctx)
	}
	t := <-mine // it came first
	return t.hold, t.err
}

// join adds a caller to the queue for the file f that it found at path. A
// goroutine that waits for a file that was there before is left to itself.
func join(path string, f *os.File, info os.FileInfo, mine chan turn) *queue {
	queues.Lock()
	defer queues.Unlock()
	if q := queues.at[path]; q != nil && os.SameFile(q.file, info) {
		f.Close()
		q.waiting = append(q.waiting, mine)
		return q
	}
	q := &queue{file: info, waiting: []chan turn{mine}}
	queues.at[path] = q
	go q.run(path, f)
	return q
}

// leave takes a caller out of the queue, unless it has had its turn.
func (q *queue) leave(mine chan turn) bool {
	queues.Lock()
	defer queues.Unlock()
	for i, c := range q.waiting {
		if c == mine {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// run gets the lock for one waiting caller after another, first on f, then on
// whatever is at path. It opens, and so makes, no file that nobody waits for.
func (q *queue) run(path string, f *os.File) {
	for {
		_, err := flock(f, exclusive, true)
		switch {
		case err != nil:
			f.Close()
			q.fail(path, wrap(path, err))
			return
		case current(f, path):
			if !q.give(path, &Hold{file: f}) {
				return
			}
		default: // replaced during the wait
			_ = release(f)
			if !q.wanted(path) {
				return
			}
		}
		if f, err = open(path); err != nil {
			q.fail(path, err)
			return
		}
	}
}

// wanted says whether anybody waits, and ends the queue if not.
func (q *queue) wanted(path string) bool {
	queues.Lock()
	defer queues.Unlock()
	return q.more(path)
}

// give hands the lock to the first caller, or gives it back if there is none,
// and says whether more are waiting.
func (q *queue) give(path string, h *Hold) bool {
	queues.Lock()
	defer queues.Unlock()
	if len(q.waiting) == 0 {
		h.Unlock()
	} else {
		q.waiting[0] <- turn{hold: h}
		q.waiting = q.waiting[1:]
	}
	return q.more(path)
}

// fail tells all who wait that the lock cannot be had.
func (q *queue) fail(path string, err error) {
	queues.Lock()
	defer queues.Unlock()
	for _, c := range q.waiting {
		c <- turn{err: err}
	}
	q.waiting = nil
	q.more(path)
}

// more says whether anybody waits. If not, the queue leaves the table, which
// may have another in its place by now. The caller holds the table.
func (q *queue) more(path string) bool {
	if len(q.waiting) > 0 {
		return true
	}
	if queues.at[path] == q {
		delete(queues.at, path)
	}
	return false
}
