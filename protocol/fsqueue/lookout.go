package fsqueue

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/dirwatch"
	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// drowsy is how long the reader sleeps before its mailbox is watched.
const drowsy = 20 * time.Millisecond

// lookout wakes the reader.
//
// Senders of ours ring the gate's bell. What they cannot do is ring after they
// were killed between the rename and the ring: so a reader that has slept for a
// while has its mailbox watched, too, and looks into it once more when that
// begins. A reader that is busy never comes to it, for watching makes each
// message more expensive. Perl rings nothing: the door is watched all the time,
// which costs nothing where no Perl peer writes.
type lookout struct {
	gate  *gate.Keeper
	fresh string // the directory that is watched when the reader has slept

	door  *pump
	timer *time.Timer // runs while the reader sleeps

	mu     sync.Mutex
	shelf  *pump // nil while the reader is awake
	closed bool
}

// pump passes the events of one directory on.
type pump struct {
	watcher *dirwatch.Watcher
	quit    chan struct{}
	done    sync.WaitGroup
}

func startPump(dir string, notice func(error), ring func()) (*pump, error) {
	w, err := dirwatch.Watch(dir, notice)
	if err != nil {
		return nil, err
	}
	p := &pump{watcher: w, quit: make(chan struct{})}
	p.done.Go(func() {
		for {
			select {
			case <-w.Events():
				ring()
			case <-p.quit:
				return
			}
		}
	})
	return p, nil
}

func (p *pump) stop() {
	p.watcher.Close()
	close(p.quit)
	p.done.Wait()
}

// newLookout begins to watch the door.
func newLookout(k *gate.Keeper, fresh string, d *door, notice func(error)) (*lookout, error) {
	p, err := startPump(d.path(), notice, func() {
		d.knock.Store(true)
		k.Ring()
	})
	if err != nil {
		return nil, err
	}
	l := &lookout{gate: k, fresh: fresh, door: p}
	l.timer = time.AfterFunc(drowsy, l.watch)
	l.timer.Stop()
	return l, nil
}

// sleep blocks until there may be something in the mailbox.
func (l *lookout) sleep(ctx context.Context) error {
	l.timer.Reset(drowsy)
	defer l.timer.Stop()
	err := l.gate.Wait(ctx)
	if errors.Is(err, os.ErrClosed) {
		return protocol.ErrClosed
	}
	return err
}

// watch begins to watch the mailbox, and makes the reader look once more. That
// it cannot be watched is nothing to tell: in its place there is only polling,
// and then the door has told it already.
func (l *lookout) watch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shelf != nil || l.closed {
		return
	}
	p, err := startPump(l.fresh, nil, l.gate.Ring)
	if err != nil {
		return // it was removed by a goodbye
	}
	l.shelf = p
	l.gate.Ring()
}

// wake ends the watch of the mailbox: there is something to read.
func (l *lookout) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shelf != nil {
		l.shelf.stop()
		l.shelf = nil
	}
}

// close ends all watching. Nothing rings the gate afterwards.
func (l *lookout) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.timer.Stop()
	if l.shelf != nil {
		l.shelf.stop()
		l.shelf = nil
	}
	l.door.stop()
}
