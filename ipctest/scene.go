package ipctest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/ipcmgr/ipcmgr"
)

// scene is what the tests of this process know of one store.
type scene struct {
	st *ipcmgr.Store

	mu      sync.Mutex
	workers map[string]*worker // by id, the last one that was started
	excused map[string]bool    // ids whose crash the test wanted
	crashed map[*worker]error  // those whose crash nobody wanted
	alarms  map[*alarm]struct{}

	recording *recording // nil unless Record was called
}

// alarm ends a call that waits because a worker has crashed.
type alarm struct{ ring context.CancelCauseFunc }

var scenes = struct {
	sync.Mutex
	of map[ipcmgr.Info]*scene // handles on one store share it
}{of: map[ipcmgr.Info]*scene{}}

func newScene(st *ipcmgr.Store) *scene {
	s := &scene{
		st:      st,
		workers: map[string]*worker{},
		excused: map[string]bool{},
		crashed: map[*worker]error{},
		alarms:  map[*alarm]struct{}{},
	}
	scenes.Lock()
	defer scenes.Unlock()
	scenes.of[st.Info()] = s
	return s
}

// sceneOf finds the scene of a store, also of one that Store did not make.
func sceneOf(t testing.TB, st *ipcmgr.Store) *scene {
	scenes.Lock()
	s := scenes.of[st.Info()]
	scenes.Unlock()
	if s == nil {
		s = newScene(st)
		t.Cleanup(func() {
			s.close()
			s.finishRecording(t)
		})
	}
	return s
}

// close forgets the scene.
func (s *scene) close() {
	scenes.Lock()
	defer scenes.Unlock()
	delete(scenes.of, s.st.Info())
}

// waiting is the function of that name, but the context ends also when a worker
// has crashed: what the test waits for will then hardly come.
func (s *scene) waiting(t testing.TB) (context.Context, context.CancelFunc) {
	outer, cancelOuter := waiting(t)
	ctx, ring := context.WithCancelCause(outer)
	a := &alarm{ring}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alarms[a] = struct{}{}
	for w, err := range s.crashed {
		ring(w.crashError(err))
	}
	return ctx, func() {
		s.mu.Lock()
		delete(s.alarms, a)
		s.mu.Unlock()
		ring(nil)
		cancelOuter()
	}
}

// follow notes the end of a worker, and rings if nobody wanted it.
func (s *scene) follow(w *worker) {
	<-w.Done()
	err := w.Wait(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || w.expected {
		return
	}
	s.crashed[w] = err
	for a := range s.alarms {
		a.ring(w.crashError(err))
	}
}

// expect says that the worker's end is wanted from now on, or was. It gives
// the crash that was noted before.
func (s *scene) expect(w *worker) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.expected = true
	err := s.crashed[w]
	delete(s.crashed, w)
	return err
}

func (s *scene) excuse(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.excused[id] = true
	}
}

// worker finds the worker that was started last under the id.
func (s *scene) worker(id string) *worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.workers[id]
}

func (w *worker) crashError(err error) error {
	return fmt.Errorf("worker %q has ended, which nobody asked for: %w", w.id, err)
}
