package service

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// hooks are what a service does beside answering. Those that are not about a
// message run one at a time.
type hooks struct {
	start   func(context.Context) error
	end     func(context.Context) error
	message func(context.Context, *ipcmgr.Message) error
	peer    func(context.Context, ipcmgr.Peer) error
	endWhen func() bool
	beside  []func(s *Service, ctx context.Context) error
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
	}
	s.hooks.beside = append(s.hooks.beside, func(s *Service, ctx context.Context) error {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-s.ending.Done():
				return nil
			case <-tick.C:
				s.runHook(ctx, "interval", f)
			}
		}
	})
}

// OnSignal runs f for each of the signals that this process gets.
func (s *Service) OnSignal(f func(ctx context.Context, sig os.Signal) error, sigs ...os.Signal) {
	if len(sigs) == 0 { // signal.Notify would take all
		s.setup = append(s.setup, fmt.Errorf("no signal is named"))
		return
	}
	s.hooks.beside = append(s.hooks.beside, func(s *Service, ctx context.Context) error {
		arrived := make(chan os.Signal, 16)
		signal.Notify(arrived, sigs...)
		s.startedBeside()
		defer signal.Stop(arrived)
		for {
			select {
			case <-s.ending.Done():
				return nil
			case sig := <-arrived:
				s.runHook(ctx, "signal", func(ctx context.Context) error { return f(ctx, sig) })
			}
		}
	})
}
