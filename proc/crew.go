package proc

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// keep runs a crew again and again until all have done their work (nil), ctx
// ends (nil), or it gives up.
func (s *Supervisor) keep(ctx context.Context, crew []Spec) error {
	inARow := 0
	for starts := 0; ; starts++ {
		began := time.Now()
		left, crash := s.once(ctx, crew, starts)
		if crash == nil || ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > s.strategy.MaxBackoff {
			inARow = 0
		}
		if !s.restarts.allows(time.Now()) {
			return fmt.Errorf("more than %d restarts within %v: %w", s.strategy.Restarts, s.strategy.Per, crash)
		}
		if !pause(ctx, s.strategy.backoff(inARow, s.hands.random())) {
			return nil
		}
		crew = left
		inARow++
	}
}

// once runs a crew until all have ended. The first crash stops the others; it
// is returned with those that have work left.
func (s *Supervisor) once(ctx context.Context, crew []Spec, starts int) (left []Spec, crash error) {
	ends := make([]end, len(crew))
	all, crewCtx := errgroup.WithContext(ctx)
	for n, spec := range crew {
		all.Go(func() error {
			ends[n] = s.work(crewCtx, spec, starts)
			return ends[n].crash
		})
	}
	crash = all.Wait()
	for n, spec := range crew {
		if !ends[n].done {
			left = append(left, spec)
		}
		if ctx.Err() != nil && ends[n].stopErr != nil {
			s.mu.Lock()
			s.stopErr = append(s.stopErr, ends[n].stopErr)
			s.mu.Unlock()
		}
	}
	return left, crash
}

// end is how one run of a worker ended.
type end struct {
	done    bool  // its work
	crash   error // it ended by itself, and not well
	stopErr error // it was stopped, and did not end well
}

// work runs one worker until it ends, or until ctx does and it was stopped.
func (s *Supervisor) work(ctx context.Context, spec Spec, starts int) end {
	tell := func(what What, err error) { s.journal.add(Event{ID: spec.ID, What: what, Err: err}) }
	crashed := func(err error) end {
		if ctx.Err() != nil {
			return end{}
		}
		s.setUp(spec.ID, false)
		tell(Crashed, err)
		return end{crash: err}
	}
	starting, cancel := context.WithTimeoutCause(ctx, s.strategy.StartTimeout,
		fmt.Errorf("worker %q was not connected within %v", spec.ID, s.strategy.StartTimeout))
	defer cancel()
	w, err := s.hands.launch(starting, spec)
	if err != nil {
		return crashed(err)
	}
	if starts == 0 {
		tell(Started, nil)
	} else {
		tell(Restarted, nil)
	}
	err = w.Ready(starting)
	if err == nil {
		s.setUp(spec.ID, true)
		tell(Ready, nil)
		err = w.Wait(ctx)
	}
	if !hasEnded(w) { // it is to be stopped, or did not become ready
		stopErr := s.stop(ctx, w)
		if ctx.Err() == nil {
			return crashed(err)
		}
		s.setUp(spec.ID, false)
		tell(Stopped, stopErr)
		return end{stopErr: stopErr}
	}
	if ctx.Err() != nil {
		err = w.Wait(context.WithoutCancel(ctx)) // err may be ctx's
	}
	switch {
	case err == nil:
		s.setUp(spec.ID, true)
		tell(Ended, nil)
		return end{done: true}
	case ctx.Err() != nil: // at the same time
		tell(Stopped, err)
		return end{stopErr: err}
	}
	return crashed(err)
}

func hasEnded(w worker) bool {
	select {
	case <-w.Done():
		return true
	default:
		return false
	}
}

// stop stops a worker: for good if the supervisor is to end, within the time
// that the caller of Supervisor.Stop gives, if there is one. Otherwise another
// one, of this supervisor or the next, takes its place.
func (s *Supervisor) stop(ctx context.Context, w worker) error {
	if s.ctx.Err() == nil {
		return w.makeWay(context.WithoutCancel(ctx))
	}
	s.mu.Lock()
	bound := s.bound
	s.mu.Unlock()
	if bound == nil {
		bound = context.WithoutCancel(ctx)
	}
	return w.Stop(bound)
}

// pause waits, and says whether ctx has lasted.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
