package service_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/service"
)

// The owner's request to terminate ends the service when it has answered what
// lay in its mailbox.
func TestTerminate(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		release := make(chan struct{})
		r := serve(t, st, "svc", func(s *service.Service) {
			service.Handle(s, "wait", func(_ context.Context, n int) (int, error) { <-release; return n, nil })
		}, service.Workers(1))
		c := caller(t, st, "me")
		var fs []*service.Future[int]
		for n := range 5 {
			fs = append(fs, service.Go[int](testContext(t), c, "svc", "wait", n))
		}
		require.NoError(t, st.Terminate(testContext(t)))
		close(release)
		for n, f := range fs {
			got, err := f.Await(testContext(t))
			require.NoError(t, err)
			require.Equal(t, n, got)
		}
		require.NoError(t, r.wait(t))
	})
}

// When its context ends a service answers what it was at, and leaves the rest.
func TestContextEnds(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		at := make(chan struct{})
		ctx, cancel := context.WithCancelCause(testContext(t))
		svc := service.New(connect(t, st, "svc"), quiet)
		service.Handle(svc, "wait", func(ctx context.Context, _ any) (any, error) {
			close(at)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		service.Handle(svc, "defer", func(ctx context.Context, _ any) (any, error) {
			service.RequestOf(ctx).Defer()
			return nil, nil
		})
		ended := make(chan error, 1)
		go func() { ended <- svc.Serve(ctx) }()
		c := caller(t, st, "me")
		g := service.Go[any](testContext(t), c, "svc", "defer", nil)
		f := service.Go[any](testContext(t), c, "svc", "wait", nil)
		<-at
		why := errors.New("enough")
		cancel(why)
		require.ErrorIs(t, <-ended, why)
		for _, f := range []*service.Future[any]{f, g} {
			_, err := f.Await(testContext(t))
			require.ErrorIs(t, err, service.Ending)
		}
	})
}

// What a durable service had when its context ended is put back, and answered
// when the service is back.
func TestDurableInterrupted(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		if !st.Features().Suspends {
			return
		}
		at := make(chan struct{}, 1)
		again := false
		setup := func(s *service.Service) {
			service.Handle(s, "work", func(ctx context.Context, n int) (int, error) {
				if again {
					return n, nil
				}
				at <- struct{}{}
				<-ctx.Done()
				return 0, ctx.Err()
			})
		}
		first := connect(t, st, "svc")
		svc := service.New(first, quiet, service.Durable())
		setup(svc)
		ctx, cancel := context.WithCancel(testContext(t))
		ended := make(chan error, 1)
		go func() { ended <- svc.Serve(ctx) }()
		c := caller(t, st, "me")
		var fs []*service.Future[int]
		for n := range 4 {
			fs = append(fs, service.Go[int](testContext(t), c, "svc", "work", n))
		}
		<-at
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, first.Suspend(testContext(t), time.Time{}))
		again = true
		second, err := st.Reconnect(testContext(t), "svc")
		require.NoError(t, err)
		svc = service.New(second, service.Durable())
		setup(svc)
		go func() { ended <- svc.Serve(testContext(t)) }()
		for n, f := range fs {
			got, err := f.Await(testContext(t))
			require.NoError(t, err)
			require.Equal(t, n, got)
		}
		require.Zero(t, c.CallStats().Late)
		svc.End()
		require.NoError(t, <-ended)
	})
}

// The requester is gone before the answer: the service lives on.
func TestRequesterGone(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		at, release := make(chan struct{}), make(chan struct{})
		r := serve(t, st, "svc", func(s *service.Service) {
			service.Handle(s, "wait", func(context.Context, any) (any, error) { close(at); <-release; return nil, nil })
			echo(s)
		}, service.Workers(1))
		gone := caller(t, st, "gone")
		service.Go[any](testContext(t), gone, "svc", "wait", nil)
		<-at
		require.NoError(t, gone.Disconnect(testContext(t), nil))
		close(release)
		_, err := service.Call[int](testContext(t), caller(t, st, "me"), "svc", "echo", 1)
		require.NoError(t, err)
		require.EqualValues(t, 1, r.Stats().Undelivered)
	})
}

// slowSender comes back late from a Send: the message is long there.
type slowSender struct {
	ipcmgr.Client
	back func()
}

func (c slowSender) Send(ctx context.Context, to string, content any) error {
	err := c.Client.Send(ctx, to, content)
	c.back()
	return err
}

// An answer that was deferred is given, and its request acknowledged, before
// Serve returns: who leaves then leaves nothing unread.
func TestServeWaitsForAnswersBeingGiven(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		client := connect(t, st, "svc")
		got := make(chan struct{})
		var svc *service.Service
		svc = service.New(slowSender{client, func() {
			<-got // by the caller
			svc.End()
			for range 1000 { // for Serve to return, if it did
				runtime.Gosched()
			}
		}}, quiet)
		service.Handle(svc, "later", func(ctx context.Context, _ any) (any, error) {
			reply := service.RequestOf(ctx).Defer()
			go reply.Send("done")
			return nil, nil
		})
		ended := make(chan error, 1)
		go func() { ended <- svc.Serve(testContext(t)) }()
		said, err := service.Call[string](testContext(t), caller(t, st, "me"), "svc", "later", nil)
		require.NoError(t, err)
		require.Equal(t, "done", said)
		close(got)
		require.NoError(t, <-ended)
		require.NoError(t, client.Disconnect(testContext(t), nil))
	})
}
