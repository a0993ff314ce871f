//go:build linux && !ipcmgr_fallback

package shm

import (
	"errors"
	"os"
	"sync"

	"github.com/ipcmgr/ipcmgr/internal/process"
)

// ends watches the processes that send to the mailboxes of one handle: each has
// one watch, however many rings it writes.
type ends struct {
	mu      sync.Mutex
	watched map[process.ID]*end
}

type end struct {
	exit      *process.Exit
	quit      chan struct{}
	listeners map[*mailbox]int // with how many rings each wants to know
}

// watch makes m hear of the end of a process, once for each call until unwatch.
// It says whether the process has ended already.
func (e *ends) watch(id process.ID, m *mailbox) (ended bool, err error) {
	if id == process.Self() {
		return false, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.watched[id]
	if w == nil {
		exit, err := process.Watch(id)
		if errors.Is(err, os.ErrProcessDone) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		w = &end{exit: exit, quit: make(chan struct{}), listeners: map[*mailbox]int{}}
		if e.watched == nil {
			e.watched = map[process.ID]*end{}
		}
		e.watched[id] = w
		go e.await(id, w)
	}
	w.listeners[m]++
	return false, nil
}

func (e *ends) await(id process.ID, w *end) {
	defer w.exit.Close()
	select {
	case <-w.quit:
		return
	case <-w.exit.Done():
	}
	e.mu.Lock()
	if e.watched[id] == w {
		delete(e.watched, id)
	}
	listeners := w.listeners
	w.listeners = nil
	e.mu.Unlock()
	for m := range listeners {
		m.senderEnded(id)
	}
}

// unwatch takes one watch back.
func (e *ends) unwatch(id process.ID, m *mailbox) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.watched[id]
	if w == nil || w.listeners[m] == 0 {
		return
	}
	if w.listeners[m]--; w.listeners[m] > 0 {
		return
	}
	if delete(w.listeners, m); len(w.listeners) == 0 {
		delete(e.watched, id)
		close(w.quit)
	}
}
