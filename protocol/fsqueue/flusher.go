package fsqueue

import (
	"sync"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

// flusher puts a directory on disk for many callers at once: each is served by
// a sync that began after its call, and all that call during one share the next.
type flusher struct {
	turn sync.Mutex // held during a sync

	mu   sync.Mutex
	next *flushing
}

type flushing struct {
	done chan struct{}
	err  error
}

// flush returns when d is on disk. The error is that of the one sync that was
// to put it there.
func (f *flusher) flush(d disk.Dir) error {
	f.mu.Lock()
	mine := f.next
	if mine != nil {
		f.mu.Unlock()
		<-mine.done
		return mine.err
	}
	mine = &flushing{done: make(chan struct{})}
	f.next = mine
	f.mu.Unlock()

	f.turn.Lock()
	f.mu.Lock()
	f.next = nil // who comes from here on might come too late for this one
	f.mu.Unlock()
	mine.err = d.Sync()
	f.turn.Unlock()
	close(mine.done)
	return mine.err
}
