package proc

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ipcmgr/ipcmgr"
)

// Spec says how to run one worker.
type Spec struct {
	ID      string
	Cmd     func() *exec.Cmd // called for each start; Func.Cmd is one
	Options []Option
}

// Supervisor keeps workers running. Its methods may be called concurrently.
type Supervisor struct {
	strategy Strategy
	hands    hands
	journal  journal
	restarts intensity

	ctx     context.Context // ends when it is stopped, or is over
	cancel  context.CancelCauseFunc
	done    chan struct{}
	err     error   // why it ended; to be read after done
	stopErr []error // of workers that were stopped; guarded by mu until done

	mu    sync.Mutex
	bound context.Context // how long stopping may take; nil for stopWithin
	up    map[string]bool // workers that are connected, or have done their work
	wake  chan struct{}   // closed when up changes
}

// ErrStopped is what Ready gives when the supervisor was stopped.
const ErrStopped = sentinel("the supervisor was stopped")

// Supervise starts workers and keeps them running until ctx ends, Stop is
// called, they have all ended well, or they crash more often than the strategy
// allows. It returns at once: Ready waits until they are connected.
//
// A worker that ends with exit status 0 has done its work, and is not started
// again. Any other end is a crash. A worker that calls Main, as registered functions do,
// takes up the mailbox of the one before it, so nothing that was sent
// to it is lost where the protocol keeps mailboxes; what it had not acknowledged
// comes again, marked as redelivered. A worker that has to end because
// another one crashed leaves its mailbox too: it is told as Follow says, and
// killed if it has not ended within five seconds. Only Stop, and the
// end of ctx, make workers leave for good. ErrBadID.
func Supervise(ctx context.Context, st *ipcmgr.Store, strategy Strategy, specs ...Spec) (*Supervisor, error) {
	seen := map[string]bool{}
	for _, spec := range specs {
		if err := ipcmgr.CheckID(spec.ID); err != nil {
			return nil, fmt.Errorf("supervise: %w", err)
		}
		switch {
		case spec.Cmd == nil:
			return nil, fmt.Errorf("supervise: worker %q has no Cmd", spec.ID)
		case seen[spec.ID]:
			return nil, fmt.Errorf("supervise: there are two workers %q", spec.ID)
		}
		seen[spec.ID] = true
	}
	if err := strategy.validate(); err != nil {
		return nil, fmt.Errorf("supervise: %w", err)
	}
	return supervise(ctx, processes(st), strategy, specs), nil
}

func supervise(ctx context.Context, h hands, strategy Strategy, specs []Spec) *Supervisor {
	strategy = strategy.withDefaults()
	s := &Supervisor{
		strategy: strategy,
		hands:    h,
		restarts: intensity{max: strategy.Restarts, per: strategy.Per},
		done:     make(chan struct{}),
		up:       map[string]bool{},
		wake:     make(chan struct{}),
	}
	s.journal.init()
	for _, spec := range specs {
		s.up[spec.ID] = false
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	go s.run(specs)
	return s
}

// run is the supervisor's life. Workers whose fates are bound together are one
// crew; one-for-one is a crew each.
func (s *Supervisor) run(specs []Spec) {
	defer close(s.done)
	defer s.journal.close()
	defer s.cancel(nil)
	crews := [][]Spec{specs}
	if !s.strategy.AllForOne {
		crews = nil
		for _, spec := range specs {
			crews = append(crews, []Spec{spec})
		}
	}
	all, crewCtx := errgroup.WithContext(s.ctx)
	for _, crew := range crews {
		all.Go(func() error { return s.keep(crewCtx, crew) })
	}
	s.err = all.Wait()
	if cause := context.Cause(s.ctx); s.err == nil && cause != nil && cause != ErrStopped {
		s.err = cause
	}
	if s.err != nil && s.ctx.Err() == nil {
		s.journal.add(Event{What: GaveUp, Err: s.err})
	}
}

// Wait blocks until the supervisor and all workers have ended: nil if they did
// their work or were stopped, the last crash if it gave up, or what
// ended the context of Supervise.
func (s *Supervisor) Wait(ctx context.Context) error {
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Stop stops all workers at once, each as Child.Stop does, and returns when
// they have ended. The error joins those of workers that did not end well.
func (s *Supervisor) Stop(ctx context.Context) error {
	s.mu.Lock()
	if s.bound == nil {
		s.bound = ctx
	}
	s.mu.Unlock()
	s.cancel(ErrStopped)
	<-s.done // each Child.Stop ends soon after ctx
	return errors.Join(s.stopErr...)
}

// Ready blocks until every worker is connected, or has done its work. When the
// supervisor has ended instead, the error says why.
func (s *Supervisor) Ready(ctx context.Context) error {
	for {
		s.mu.Lock()
		wake, missing := s.wake, ""
		for id, up := range s.up {
			if !up {
				missing = id
			}
		}
		s.mu.Unlock()
		if missing == "" {
			return nil
		}
		select {
		case <-wake:
		case <-s.done:
			if s.err != nil {
				return s.err
			}
			return ErrStopped
		case <-ctx.Done():
			return fmt.Errorf("worker %q is not connected: %w", missing, context.Cause(ctx))
		}
	}
}

// setUp notes whether a worker is connected.
func (s *Supervisor) setUp(id string, up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up[id] = up
	close(s.wake)
	s.wake = make(chan struct{})
}
