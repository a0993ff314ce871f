package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/process"
)

// hooks are what a service does beside answering. Those that are not about a
// message run one at a time.
type hooks struct {
	start   func(context.Context) error
	end     func(context.Context) error
	message func(context.Context, *ipcmgr.Message) error
	peer    func(context.Context, ipcmgr.Peer) error
	endWhen func() bool
	beside  []func() (run func(context.Context), err error)
}

// OnStart runs before the first request. Its error ends Serve.
func (s *Service) OnStart(f func(ctx context.Context) error) { s.hooks.start = f }

// OnEnd runs after the last request, however Serve ends, within 10 s.
func (s *Service) OnEnd(f func(ctx context.Context) error) { s.hooks.end = f }

// OnMessage takes each message that is neither a request nor an answer to a
// call. It is acknowledged when f returns, whatever f returns: an error is
// logged and counted, and the service lives on. Without f such a message is
// logged.
func (s *Service) OnMessage(f func(ctx context.Context, m *ipcmgr.Message) error) {
	s.hooks.message = f
}

// OnPeer is told each other client of the store as it is when Serve begins, and
// again whenever it changes, as Store.Watch does.
func (s *Service) OnPeer(f func(ctx context.Context, p ipcmgr.Peer) error) { s.hooks.peer = f }

// EndWhen is asked after each request, message, change and interval whether the
// service is to end.
func (s *Service) EndWhen(f func() bool) { s.hooks.endWhen = f }

// Every runs f after each d.
func (s *Service) Every(d time.Duration, f func(ctx context.Context) error) {
	if d <= 0 {
		s.setup = append(s.setup, fmt.Errorf("an interval of %v: it must be longer than 0", d))
		return
	}
	s.beside(func() (func(context.Context), error) {
		tick := time.NewTicker(d)
		return func(ctx context.Context) {
			defer tick.Stop()
			for {
				select {
				case <-s.ending.Done():
					return
				case <-tick.C:
					s.runHook(ctx, "interval", f)
				}
			}
		}, nil
	})
}

// OnSignal runs f for each of the signals that this process gets while the
// service runs; for those that came before its end, also when it ends.
func (s *Service) OnSignal(f func(ctx context.Context, sig os.Signal) error, sigs ...os.Signal) {
	if len(sigs) == 0 { // signal.Notify would take all
		s.setup = append(s.setup, errors.New("OnSignal names no signal"))
		return
	}
	s.beside(func() (func(context.Context), error) {
		arrived := make(chan os.Signal, 16)
		signal.Notify(arrived, sigs...)
		handle := func(ctx context.Context, sig os.Signal) {
			s.runHook(ctx, "signal", func(ctx context.Context) error { return f(ctx, sig) })
		}
		return func(ctx context.Context) {
			for {
				select {
				case sig := <-arrived:
					handle(ctx, sig)
					continue
				case <-s.ending.Done():
				}
				signal.Stop(arrived)
				for len(arrived) > 0 {
					handle(ctx, <-arrived)
				}
				return
			}
		}, nil
	})
}

// EndWith ends the service in order when the process ends that has this pid
// when Serve begins; at once if there is none.
func (s *Service) EndWith(pid int) {
	s.beside(func() (func(context.Context), error) {
		exit, err := process.Watch(process.ID{PID: pid})
		if errors.Is(err, os.ErrProcessDone) {
			return func(context.Context) { s.End() }, nil
		}
		if err != nil {
			return nil, fmt.Errorf("watch process %d: %w", pid, err)
		}
		return func(context.Context) {
			defer exit.Close()
			select {
			case <-exit.Done():
				s.End()
			case <-s.ending.Done():
			}
		}, nil
	})
}

// beside adds something that runs beside the handlers: prepare is called before
// the service tells others that it is one, and what it returns runs from then
// on until s.ending ends.
func (s *Service) beside(prepare func() (run func(context.Context), err error)) {
	s.hooks.beside = append(s.hooks.beside, prepare)
}

// prepareHooks gives what is to run beside the handlers.
func (s *Service) prepareHooks() (runs []func(context.Context), err error) {
	for _, prepare := range s.hooks.beside {
		run, err := prepare()
		if err != nil {
			s.end(err)
			for _, run := range runs {
				run(s.ending) // it ends at once, and frees what it has
			}
			return nil, err
		}
		runs = append(runs, run)
	}
	if s.hooks.peer != nil {
		runs = append(runs, s.watchPeers)
	}
	return runs, nil
}

func (s *Service) watchPeers(ctx context.Context) {
	for p, err := range s.caller.Store().Watch(s.ending) {
		switch {
		case s.ending.Err() != nil:
			return
		case err != nil:
			s.end(err)
			return
		case p.ID != s.caller.ID():
			s.runHook(ctx, "peer", func(ctx context.Context) error { return s.hooks.peer(ctx, p) })
		}
	}
}

// runHook runs what is not about a message.
func (s *Service) runHook(ctx context.Context, name string, f func(context.Context) error) {
	s.one.Lock()
	err := s.protect(func() error { return f(ctx) })
	s.one.Unlock()
	if err != nil {
		s.failedHook(name, err)
	}
	s.maybeEnd()
}

func (s *Service) failedHook(name string, err error) {
	s.counts.failed()
	s.log.Warn("ipcmgr: a service's "+name+" handler failed", "service", s.caller.ID(), "err", err)
}

// maybeEnd asks whether the service is to end.
func (s *Service) maybeEnd() {
	if s.hooks.endWhen == nil {
		return
	}
	end := false
	s.asking.Lock()
	err := s.protect(func() error { end = s.hooks.endWhen(); return nil })
	s.asking.Unlock()
	if err != nil {
		s.failedHook("EndWhen", err)
	}
	if end {
		s.End()
	}
}
