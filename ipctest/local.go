package ipctest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// crasher is a protocol that reaches no other process, and so offers to make
// the holder of a mailbox look killed.
type crasher interface {
	Crash(route, id string) error
}

// crashes gives what crashes a client of the store, if no other process
// reaches it; otherwise nil.
func crashes(st *ipcmgr.Store) func(id string) error {
	p, err := protocol.Get(st.Info().Protocol)
	if err != nil { // it is a value of the configuration
		return nil
	}
	c, ok := p.(crasher)
	if !ok {
		return nil
	}
	return func(id string) error { return c.Crash(st.Info().Route, id) }
}

// local is a worker in this process. It lives as proc.Main has it.
type local struct {
	st     *ipcmgr.Store
	id     string
	cancel context.CancelCauseFunc
	killed atomic.Bool
	done   chan struct{}
	err    error // to be read after done
}

var (
	errStopped = errors.New("the worker is stopped")
	errKilled  = errors.New("the worker was killed")
)

// launchHere connects a client and runs f with it on a goroutine.
func (s *scene) launchHere(ctx context.Context, id string, f func(context.Context, ipcmgr.Client) error) (runner, error) {
	c, err := s.st.Connect(ctx, id, ipcmgr.Resume())
	if err != nil {
		return nil, err
	}
	w := &local{st: s.st, id: id, done: make(chan struct{})}
	working, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	w.cancel = cancel
	result := make(chan error, 1)
	go func() {
		err := errors.New("the function ended its goroutine and did not return")
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v\n\n%s", r, debug.Stack())
			}
			result <- err
		}()
		err = f(working, s.record(c))
	}()
	go func() {
		defer close(w.done)
		w.err = <-result
		cancel(nil)
		w.err = errors.Join(w.err, leave(c, w.err))
		if errors.Is(w.err, ipcmgr.ErrClosed) && !errors.Is(w.err, errKilled) && !w.killed.Load() {
			// A shutdown disconnects the clients of its own process before they
			// have heard that they are to terminate.
			w.err = nil
		}
	}()
	return w, nil
}

// leave keeps the mailbox if the worker failed. That it has left itself, or was
// killed, is no error.
func leave(c ipcmgr.Client, result error) error {
	ctx, cancel := context.WithTimeout(context.Background(), *patience)
	defer cancel()
	var err error
	if result != nil && c.Store().Features().Suspends {
		err = errors.Join(c.RequeueAll(), c.Suspend(ctx, time.Time{}))
	} else {
		err = c.Disconnect(ctx, nil)
	}
	var unread *ipcmgr.UnreadError
	if errors.Is(err, ipcmgr.ErrClosed) || errors.As(err, &unread) { // the audit tells of the unread
		return nil
	}
	return err
}

// Ready has nothing to wait for: it connected before it was started.
func (w *local) Ready(context.Context) error { return nil }

func (w *local) Done() <-chan struct{} { return w.done }

func (w *local) Wait(ctx context.Context) error {
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Stop asks the worker to terminate, and then ends its context.
func (w *local) Stop(ctx context.Context) error {
	if w.endsWithin(ctx, func() error { return w.st.TerminatePeer(ctx, w.id) }) {
		return w.err
	}
	w.cancel(errStopped)
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return fmt.Errorf("its context has ended, and it goes on: %w", context.Cause(ctx))
	}
}

// endsWithin asks, and gives the worker half of the time that there is.
func (w *local) endsWithin(ctx context.Context, ask func() error) bool {
	end, _ := ctx.Deadline()
	patient, cancel := context.WithTimeout(ctx, time.Until(end)/2)
	defer cancel()
	if ask() != nil { // it has ended, or is about to
		cancel()
	}
	select {
	case <-w.done:
		return true
	case <-patient.Done():
		return false
	}
}

// Kill closes the worker's client under its hands.
func (w *local) Kill() error {
	w.killed.Store(true)
	err := crashes(w.st)(w.id)
	w.cancel(errKilled)
	return err
}
