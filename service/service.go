// Package service makes services of clients: programs that answer requests.
//
// A Service has handlers by method name, and answers each request exactly once.
// A Caller makes calls, any number at once, and goes on receiving messages. The
// messages are those of Perl's IPC::Manager, so that either side may be a Perl
// program: see Call and CallRaw.
//
//	svc := service.New(client)
//	service.Handle(svc, "add", func(ctx context.Context, in [2]int) (int, error) {
//		return in[0] + in[1], nil
//	})
//	err := svc.Serve(ctx)
//
// and in another process
//
//	caller := service.NewCaller(client)
//	defer caller.Close()
//	sum, err := service.Call[int](ctx, caller, "calc", "add", [2]int{1, 2})
//
// Every service also answers the methods ipcmgr.ping, ipcmgr.info and
// ipcmgr.stats.
//
// A request is acknowledged once its response is sent. So when a service is
// killed, its requests come again where the protocol redelivers, and a handler
// may run a second time: Request.Redelivered says so. The response goes out
// twice only if it was killed between sending and acknowledging.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// Service is a client with handlers. They are set before Serve.
type Service struct {
	caller  *Caller
	workers int
	details bool
	durable bool
	log     *slog.Logger
	wrap    []Middleware

	methods  map[string]Handler
	catchAll Handler
	setup    []error // what is wrong with how it was set up
	hooks    hooks

	serving atomic.Bool
	ctx     context.Context // of Serve
	ending  context.Context // with which it receives; its cause is why the service ends
	end     context.CancelCauseFunc
	running atomic.Int32 // workers
	idle    atomic.Int32 // of them, those that wait for something to do
	wg      sync.WaitGroup
	one     sync.Mutex // held by what must not run beside other such things
	asking  sync.Mutex // held by who asks endWhen
	open    openRequests
	family  family
	counts  counts
	started time.Time
}

// Option is an option of New.
type Option func(*Service)

// Workers bounds how many requests and messages are handled at once. The
// default is one: they are handled in the order in which they came, and nothing
// of the service runs beside anything else of it, so its handlers need no locks.
// More are for handlers that wait: each request then costs a hand-over to
// another goroutine.
func Workers(n int) Option {
	return func(s *Service) {
		s.workers = n
		if n < 1 {
			s.setup = append(s.setup, fmt.Errorf("%d workers: it needs at least one", n))
		}
	}
}

// Details lets callers see the text of every error, and of a panic. Without it
// only that of an Error; of others they learn "Internal service error", and the
// log has the text.
func Details() Option { return func(s *Service) { s.details = true } }

// Durable promises to callers that the service comes back after a crash, with
// its mailbox: they go on waiting where the protocol redelivers. The client
// should be connected with ipcmgr.Resume.
func Durable() Option { return func(s *Service) { s.durable = true } }

// Use puts middleware around every handler, the first outermost.
func Use(mw ...Middleware) Option { return func(s *Service) { s.wrap = append(s.wrap, mw...) } }

// Logger takes what handlers fail with; the default is slog.Default.
func Logger(l *slog.Logger) Option { return func(s *Service) { s.log = l } }

// New makes a service of a client, which must not be receiving.
func New(c ipcmgr.Client, opts ...Option) *Service {
	s := &Service{caller: NewCaller(c), workers: 1, log: slog.Default(), methods: map[string]Handler{}}
	for _, set := range opts {
		set(s)
	}
	s.addIntrospection()
	s.ending, s.end = context.WithCancelCause(context.Background())
	return s
}

// Caller makes calls as the client of the service, also in its handlers. It
// receives nothing but answers.
func (s *Service) Caller() *Caller { return s.caller }

// errEnd is why a service ends that was asked to.
var errEnd = errors.New("the service ends")

// End makes Serve end in order. It does not wait.
func (s *Service) End() { s.end(errEnd) }

// Serve answers requests until the store's owner asks to terminate, End is
// called, or one of the other reasons to end is met: then it answers what lies
// in the mailbox, runs what OnEnd was given, and returns nil. When ctx ends it
// returns the cause without answering further; what is being handled then is
// answered with Ending, or put back if the service is Durable.
//
// The client stays connected, and requests that were not taken stay in its
// mailbox. It should leave soon: with Disconnect, which tells callers that there
// will be no answer, or with Suspend if the service is to come back. It should
// not leave before: of a request that was just answered, that it was read may
// not be on record yet, and an audit would tell of a message dropped. So who
// serves in the process of the store's owner ends the service and waits for it
// before Shutdown. Serve is called once.
func (s *Service) Serve(ctx context.Context) error {
	if !s.serving.CompareAndSwap(false, true) {
		return s.failed(errors.New("it serves already, or did"))
	}
	defer s.caller.Close()
	defer s.end(nil)
	defer context.AfterFunc(ctx, func() { s.end(context.Cause(ctx)) })()
	return s.failed(s.serve(ctx))
}

func (s *Service) serve(ctx context.Context) error {
	if err := errors.Join(s.setup...); err != nil {
		return err
	}
	s.ctx, s.started = ctx, time.Now()
	beside, err := s.prepareHooks()
	if err != nil {
		return err
	}
	if s.hooks.start != nil {
		if err := s.protect(func() error { return s.hooks.start(ctx) }); err != nil {
			s.end(fmt.Errorf("start: %w", err))
		}
	}
	if s.ending.Err() == nil {
		if err := s.publish(ctx); err != nil {
			s.end(err)
		}
	}
	for _, run := range beside {
		s.wg.Go(func() { run(ctx) })
	}
	s.addWorker(ctx)
	s.wg.Wait()
	why := context.Cause(s.ending)
	if errors.Is(why, errEnd) {
		why = s.answerRest(ctx)
	}
	s.abandonOpen()
	return errors.Join(why, s.finish(ctx))
}

func (s *Service) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("service %q: %w", s.caller.ID(), err)
}

// publish tells callers what the service is. A mailbox that was taken up keeps
// its mark; where the protocol keeps none, it is another one.
func (s *Service) publish(ctx context.Context) error {
	attrs := s.caller.Attrs()
	if attrs == nil {
		attrs = map[string]string{}
	}
	if attrs[AttrMailbox] == "" || !s.caller.redelivers() {
		attrs[AttrMailbox] = s.caller.prefix + "0"
	}
	names := s.names()
	if s.catchAll != nil {
		names = append(names, catchAllName)
	}
	attrs[AttrMethods] = strings.Join(names, ",")
	delete(attrs, AttrDurable)
	if s.durable {
		attrs[AttrDurable] = "yes"
	}
	return s.caller.SetAttrs(ctx, attrs)
}

// addWorker starts a goroutine that receives and handles. Whoever has received
// something makes sure that another receives on, up to the bound: so nothing is
// handed from goroutine to goroutine.
func (s *Service) addWorker(ctx context.Context) {
	s.running.Add(1)
	s.idle.Add(1)
	s.wg.Go(func() {
		r := newReader(s.ending, nil)
		defer r.close()
		for {
			it, err := s.caller.next(r)
			if s.idle.Add(-1) == 0 && err == nil && int(s.running.Load()) < s.workers {
				s.addWorker(ctx)
			}
			if errors.Is(err, ipcmgr.ErrTerminated) {
				err = errEnd
			}
			if err != nil {
				s.end(err)
				return
			}
			s.handle(ctx, it)
			s.idle.Add(1)
		}
	})
}

// answerRest handles what lies in the mailbox when the service is asked to end.
func (s *Service) answerRest(ctx context.Context) error {
	c := s.caller
	c.turn <- struct{}{}
	err := c.drain(ctx)
	<-c.turn
	if err != nil {
		return err
	}
	for {
		it, err := c.pop()
		if err == nil && it.m == nil {
			return nil
		}
		if err == nil { // else it was asked to end once more
			s.handle(ctx, it)
		}
	}
}

// handle does one request or message.
func (s *Service) handle(ctx context.Context, it item) {
	if s.workers == 1 {
		s.one.Lock()
		defer s.one.Unlock()
	}
	if it.RequestID != "" {
		s.serveRequest(ctx, it)
	} else {
		s.general(ctx, it.m)
	}
	s.maybeEnd()
}

// protect runs f, and makes an error of a panic.
func (s *Service) protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("ipcmgr: a handler panicked", "service", s.caller.ID(), "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

// finishWithin bounds what a service does after its context has ended, and how
// long it waits for room for the answers to what was deferred.
const finishWithin = 10 * time.Second

// finish stops what was started beside the handlers, and runs OnEnd.
func (s *Service) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	s.family.finish(ctx)
	if s.hooks.end == nil {
		return nil
	}
	return s.protect(func() error { return s.hooks.end(ctx) })
}
