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
	notice, err := r.startWatch()
	r.tell(notice)
	return err
}

func (r *Roster) startWatch() (notice, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch != nil || r.closed {
		return nil, nil
	}
	hear := func(err error) { notice = errors.Join(notice, err) }
	w := &watch{quit: make(chan struct{}), ended: make(chan struct{})}
	if w.records, err = dirwatch.Watch(r.Path("peers"), hear); err != nil {
		return nil, err
	}
	if r.perl != nil {
		if w.foreign, err = dirwatch.Watch(filepath.Clean(r.route), hear); err != nil {
			return nil, errors.Join(err, w.records.Close())
		}
	}
	r.lives.start()
	r.watch = w
	go w.run(r.ring)
	return notice, nil
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
func (r *Roster) tell(err error) {
	if err == nil {
		return
	}
	if notice := r.listener(err); notice != nil {
		notice(err)
	}
}

func (r *Roster) listener(err error) func(error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := range r.entries {
		if e.notice != nil {
			return e.notice
		}
	}
	r.untold = err
	return nil
}
