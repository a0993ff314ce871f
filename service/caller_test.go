package service_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/ipctest"
	"github.com/ipcmgr/ipcmgr/service"
)

// tell answers with what it gets, and has sent it as an ordinary message before.
func tell(s *service.Service) {
	service.Handle(s, "tell", func(ctx context.Context, n int) (int, error) {
		return n, s.Caller().Send(ctx, service.RequestOf(ctx).From, n)
	})
}

// callTell leaves n as an ordinary message with the caller.
func callTell(t *testing.T, c *service.Caller, n int) {
	t.Helper()
	got, err := service.Call[int](testContext(t), c, "svc", "tell", n)
	require.NoError(t, err)
	require.Equal(t, n, got)
}

func number(t *testing.T, m *ipcmgr.Message) (n int) {
	t.Helper()
	require.NoError(t, m.Decode(&n))
	return n
}

// A client has one Caller, which whoever asks for one is given, so that none
// takes what another waits for; once it is closed, the next is a new one.
func TestOneCaller(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		r := serve(t, st, "svc", tell)
		require.Same(t, r.Caller(), service.NewCaller(r.client))
		me := connect(t, st, "me")
		first := service.NewCaller(me)
		for n := range 20 {
			callTell(t, service.NewCaller(me), n)
			require.Same(t, first, service.NewCaller(me))
		}
		require.Same(t, first, service.NewCaller(first))
		for n := range 20 {
			got, err := ipcmgr.ReceiveAs[int](testContext(t), service.NewCaller(me))
			require.NoError(t, err)
			require.Equal(t, n, got)
		}
		callTell(t, first, 20)
		first.Close()
		again := service.NewCaller(me)
		require.NotSame(t, first, again)
		defer again.Close()
		got, err := ipcmgr.ReceiveAs[int](testContext(t), again)
		require.NoError(t, err)
		require.Equal(t, 20, got)
		callTell(t, again, 21)
	})
}

// What is kept beside a call is acknowledged when the client would do it, and
// not at all with ManualAck.
func TestCallerAcknowledges(t *testing.T) {
	for _, manual := range []bool{false, true} {
		opts := []ipcmgr.ConnectOption{}
		implicit := int64(1)
		if manual {
			opts, implicit = append(opts, ipcmgr.ManualAck()), 0
		}
		each(t, func(t *testing.T, st *ipcmgr.Store) {
			ctx := testContext(t)
			me := connect(t, st, "me", opts...)
			serve(t, st, "svc", tell)
			c := service.NewCaller(me)
			defer c.Close()
			const calls = 7
			for n := range calls {
				callTell(t, c, n)
			}
			read := func() int64 { return me.Stats().Read["svc"] - calls } // the answers are

			zero, err := c.Receive(ctx)
			require.NoError(t, err)
			require.Zero(t, read())
			ms, err := c.Poll(ctx, 2)
			require.NoError(t, err)
			require.Len(t, ms, 2)
			require.Equal(t, implicit, read())
			three, err := c.Receive(ctx)
			require.NoError(t, err)
			require.Equal(t, 3*implicit, read())
			for m, err := range c.Messages(ctx) {
				require.NoError(t, err)
				if number(t, m) == 5 {
					require.Equal(t, 4*implicit, read()) // three is Receive's
					break
				}
			}
			if manual {
				for n, m := range []*ipcmgr.Message{three, zero, ms[1], ms[0]} {
					require.Equal(t, []int{3, 0, 2, 1}[n], number(t, m))
					require.NoError(t, m.Ack(ctx))
				}
				require.EqualValues(t, 4, read())
			}

			// What is handed out then is acknowledged by leaving, also through the
			// client underneath, and what is not is unread.
			err = me.Disconnect(ctx, nil)
			var unread *ipcmgr.UnreadError
			require.ErrorAs(t, err, &unread)
			require.Equal(t, map[string]int64{"svc": 1}, unread.From)
			require.EqualValues(t, 6, read())
		})
	}
}

// Next and TryNext hand out what is kept, acknowledge nothing, and do not take
// the answer of a call under way.
func TestCallerNext(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		ctx := testContext(t)
		release := make(chan struct{})
		serve(t, st, "svc", func(s *service.Service) {
			tell(s)
			service.Handle(s, "wait", func(context.Context, any) (string, error) { <-release; return "answer", nil })
		})
		c := caller(t, st, "me")
		callTell(t, c, 0)
		callTell(t, c, 1)
		f := service.Go[string](ctx, c, "svc", "wait", nil)
		m, err := c.TryNext(ctx)
		require.NoError(t, err)
		require.Zero(t, number(t, m))
		n, err := c.Next(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, number(t, n))
		require.NoError(t, n.Requeue())
		require.NoError(t, m.Requeue())
		for want := range 2 {
			m, err := c.Next(ctx)
			require.NoError(t, err)
			require.Equal(t, want, number(t, m))
			require.NoError(t, m.Ack(ctx))
		}
		other := connect(t, st, "other")
		got := make(chan *ipcmgr.Message, 1)
		var receiving sync.WaitGroup
		receiving.Go(func() {
			m, _ := c.Next(ctx)
			got <- m
		})
		close(release)
		answer, err := f.Await(ctx)
		require.NoError(t, err)
		require.Equal(t, "answer", answer)
		require.NoError(t, other.Send(ctx, "me", 7))
		m = <-got
		require.NotNil(t, m)
		require.Equal(t, 7, number(t, m))
		require.NoError(t, m.Ack(ctx))
		receiving.Wait()
	})
}

func TestExpectOfACaller(t *testing.T) {
	ipctest.Each(t, func(t *testing.T, st *ipcmgr.Store) {
		r := service.New(ipctest.Connect(t, st, "svc"), quiet)
		tell(r)
		ended := make(chan error, 1)
		go func() { ended <- r.Serve(t.Context()) }()
		c := service.NewCaller(ipctest.Connect(t, st, "me"))
		for n := range 3 {
			callTell(t, c, n)
		}
		ipctest.Expect(t, c, "svc", 0)
		ipctest.ExpectExactly(t, c, ipctest.From("svc", 1), ipctest.From("svc", 2))
		ipctest.ExpectExactly(t, c)
		c.Close()
		r.End()
		require.NoError(t, <-ended)
	})
}

// What is put back comes before what is kept and was not handed out yet, also
// when a call was made in between.
func TestPutBackBesideCalls(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		serve(t, st, "svc", tell)
		c := caller(t, st, "me")
		callTell(t, c, 0)
		callTell(t, c, 1)
		fails := errors.New("it fails")
		err := ipcmgr.Handle(testContext(t), c, func(_ context.Context, m *ipcmgr.Message, n int) error {
			callTell(t, c, n+2)
			return fails
		})
		require.ErrorIs(t, err, fails)
		for n, again := range []bool{true, false, false} {
			m, err := c.Next(testContext(t))
			require.NoError(t, err)
			require.Equal(t, n, number(t, m))
			require.Equal(t, again, m.Redelivered)
			require.NoError(t, m.Ack(testContext(t)))
		}
		callTell(t, c, 3)
		callTell(t, c, 4)
		require.NoError(t, c.RequeueAll()) // also of what is only kept
		for n := 3; n < 5; n++ {
			got, err := ipcmgr.ReceiveAs[int](testContext(t), c)
			require.NoError(t, err)
			require.Equal(t, n, got)
		}
		m, err := c.TryNext(testContext(t))
		require.NoError(t, err)
		require.Nil(t, m)
	})
}

// The owner's request to terminate ends every loop of a Caller, those that wait
// and those that begin later, and Receive once; a call goes on.
func TestTerminateEndsLoops(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		ctx := testContext(t)
		c := caller(t, st, "me")
		other := connect(t, st, "other")
		got := make(chan int, 10)
		ended := make(chan error, 3)
		for range 3 {
			go func() {
				for m, err := range c.Messages(ctx) {
					var n int
					if err == nil {
						err = m.Decode(&n)
					}
					if err != nil {
						ended <- err
						return
					}
					got <- n
				}
				ended <- nil
			}()
		}
		require.NoError(t, other.Send(ctx, "me", 1)) // one of them waits at least
		require.Equal(t, 1, <-got)
		require.NoError(t, st.TerminatePeer(ctx, "me"))
		for range 3 {
			require.NoError(t, <-ended)
		}
		require.NoError(t, other.Send(ctx, "me", 2))
		for m, err := range c.Messages(ctx) {
			require.NoError(t, err)
			require.Equal(t, 2, number(t, m))
		}
		f := service.Go[any](ctx, c, "other", "x", nil)
		require.NoError(t, st.TerminatePeer(ctx, "me"))
		request, err := ipcmgr.ReceiveAs[map[string]any](ctx, other)
		require.NoError(t, err)
		require.NoError(t, other.Send(ctx, "me", map[string]any{"ipcm_response_id": request["ipcm_request_id"], "response": 3}))
		_, err = f.Await(ctx)
		require.NoError(t, err)
		_, err = c.Receive(ctx)
		require.ErrorIs(t, err, ipcmgr.ErrTerminated)
		ms, err := c.Poll(ctx, 1)
		require.NoError(t, err)
		require.Empty(t, ms)
	})
}
