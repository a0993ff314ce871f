package ipcmgr

import (
	"context"
	"errors"
	"reflect"
	"sync"
)

// errWoken interrupts a Fetch because there is something else to look at: a
// message was put back, or the owner asked to terminate.
var errWoken = errors.New("woken")

// waker gives a Fetch that waits a context that ends with the caller's, and
// when somebody calls wake. It keeps the context for as
// long as the caller comes with the same one.
type waker struct {
	mu     sync.Mutex
	parent context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (w *waker) context(parent context.Context) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx != nil {
		if w.ctx.Err() == nil && sameContext(w.parent, parent) {
			return w.ctx
		}
		w.cancel(nil)
	}
	w.parent = parent
	w.ctx, w.cancel = context.WithCancelCause(parent)
	return w.ctx
}

// wake interrupts the Fetch that waits, if there is one.
func (w *waker) wake(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel != nil {
		w.cancel(why)
	}
}

// sameContext says whether two contexts are known to be one: nearly all are
// pointers or the empty context, and to compare others may panic.
func sameContext(a, b context.Context) bool {
	if reflect.TypeOf(a).Kind() == reflect.Pointer {
		return a == b
	}
	return a == context.Background() && b == context.Background()
}
