package roster

import (
	"errors"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/dirwatch"
)

// watch is on the directories whose changes are those of the list. It begins
// with the first Changed and ends with the handle.
type watch struct {
	records *dirwatch.Watcher
	foreign *dirwatch.Watcher // nil where no foreign program shares the route
	quit    chan struct{}
	ended   chan struct{}
}

// follow begins to watch, unless the handle does already.
func (r *Roster) follow() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch != nil || r.closed {
		return nil
	}
	// tell takes the lock, and dirwatch may tell before it returns.
	var untold []error
	keep := func(err error) { untold = append(untold, err) }
	w := &watch{quit: make(chan struct{}), ended: make(chan struct{})}
	var err error
	if w.records, err = dirwatch.Watch(r.Path("peers"), keep); err != nil {
		return err
	}
	if r.perl != nil {
		if w.foreign, err = dirwatch.Watch(filepath.Clean(r.route), keep); err != nil {
			return errors.Join(err, w.records.Close())
		}
	}
	r.lives.start()
	r.watch = w
	go w.run(r.ring)
	r.tell(errors.Join(untold...))
	return nil
}

func (w *watch) run(ring func()) {
	defer close(w.ended)
	var foreign <-chan struct{}
	if w.foreign != nil {
		foreign = w.foreign.Events()
	}
	for {
		select {
		case <-w.records.Events():
		case <-foreign:
		case <-w.quit:
			return
		}
		ring()
	}
}

func (w *watch) close() {
	if w == nil {
		return
	}
	close(w.quit)
	<-w.ended
	w.records.Close()
	if w.foreign != nil {
		w.foreign.Close()
	}
}

// ring wakes those who wait in Changed.
func (r *Roster) ring() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.wake)
	r.wake = make(chan struct{})
}

// tell gives a notice to a client of this handle, or keeps it for the next one.
// The caller holds the handle's lock.
func (r *Roster) tell(err error) {
	if err == nil {
		return
	}
	for e := range r.entries {
		if e.notice != nil {
			e.notice(err)
			return
		}
	}
	r.untold = err
}
