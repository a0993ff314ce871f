package dirwatch

import (
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// hub is the one fsnotify.Watcher of the process and those who share it.
//
// fsnotify delivers events while it holds its own lock, so the goroutine that
// takes them must never wait for a call into fsnotify to end. Hence two locks:
// change is held over such calls, table is not, and deliver takes only table.
type hub struct {
	open func() (*fsnotify.Watcher, error)

	change sync.Mutex
	notify *fsnotify.Watcher // nil without watchers
	ended  chan struct{}     // closed when deliver has returned

	table sync.Mutex
	dirs  map[string]*dir // by path
}

// dir is one watched directory.
type dir struct {
	watchers []*Watcher
	rearm    *rearm // not nil while the directory is lost
	again    bool   // it was lost again since rearm last tried
}

var shared = hub{open: fsnotify.NewWatcher, dirs: map[string]*dir{}}

// add makes the system watch w's directory. An error leaves nothing behind.
func (h *hub) add(w *Watcher) error {
	h.change.Lock()
	defer h.change.Unlock()
	if h.notify == nil {
		n, err := h.open()
		if err != nil {
			return err
		}
		h.notify, h.ended = n, make(chan struct{})
		go h.deliver(n, h.ended)
	}
	first := h.enter(w) // before the watch, which may tell at once
	if !first {
		return nil
	}
	err := h.notify.Add(w.path)
	if err != nil {
		h.leave(w)
		h.closeIfIdle()
	}
	return err
}

// remove ends w's part in the watch.
func (h *hub) remove(w *Watcher) error {
	h.change.Lock()
	last, lost := h.leave(w)
	if last {
		// This fails where the directory has gone and taken the watch with it,
		// which is as good.
		_ = h.notify.Remove(w.path)
	}
	err := h.closeIfIdle()
	h.change.Unlock()
	if lost != nil {
		lost.stop() // which may be waiting for change
	}
	return err
}

// enter puts w on the table and says whether it is the first for its directory.
func (h *hub) enter(w *Watcher) bool {
	h.table.Lock()
	defer h.table.Unlock()
	d := h.dirs[w.path]
	if d == nil {
		d = &dir{}
		h.dirs[w.path] = d
	}
	d.watchers = append(d.watchers, w)
	return len(d.watchers) == 1
}

// leave takes w off the table and says whether it was the last for its
// directory, and what tries to find that directory again.
func (h *hub) leave(w *Watcher) (last bool, lost *rearm) {
	h.table.Lock()
	defer h.table.Unlock()
	d := h.dirs[w.path]
	for i, other := range d.watchers {
		if other == w {
			d.watchers = append(d.watchers[:i], d.watchers[i+1:]...)
			break
		}
	}
	if len(d.watchers) > 0 {
		return false, nil
	}
	delete(h.dirs, w.path)
	return true, d.rearm
}

// closeIfIdle frees the instance when nobody needs it.
func (h *hub) closeIfIdle() error {
	h.table.Lock()
	idle := len(h.dirs) == 0
	h.table.Unlock()
	if !idle || h.notify == nil {
		return nil
	}
	err := h.notify.Close()
	<-h.ended
	h.notify = nil
	return err
}

// deliver turns what fsnotify says into hints, until it is closed.
func (h *hub) deliver(n *fsnotify.Watcher, ended chan struct{}) {
	defer close(ended)
	for {
		select {
		case e, ok := <-n.Events:
			if !ok {
				return
			}
			if e.Has(fsnotify.Create | fsnotify.Remove | fsnotify.Rename) {
				h.changed(e)
			}
		case _, ok := <-n.Errors:
			if !ok {
				return
			}
			h.all() // events were lost, at least in an overflow: anything may have changed
		}
	}
}

// changed hints to those who watch the directory that an event is about: the
// one that the name is in, or the one that it is.
func (h *hub) changed(e fsnotify.Event) {
	h.table.Lock()
	defer h.table.Unlock()
	if d := h.dirs[filepath.Dir(e.Name)]; d != nil {
		d.hintOf(filepath.Base(e.Name))
	}
	d := h.dirs[e.Name]
	if d == nil {
		return
	}
	d.hint()
	if !e.Has(fsnotify.Remove | fsnotify.Rename) {
		return
	}
	d.again = true
	if d.rearm == nil {
		d.rearm = startRearm(h, e.Name, d)
	}
}

func (h *hub) all() {
	h.table.Lock()
	defer h.table.Unlock()
	for _, d := range h.dirs {
		d.hint()
	}
}

func (d *dir) hint() {
	for _, w := range d.watchers {
		w.hint()
	}
}

// hintOf is hint for those who care for a name.
func (d *dir) hintOf(name string) {
	for _, w := range d.watchers {
		if w.name == "" || w.name == name {
			w.hint()
		}
	}
}
