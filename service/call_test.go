package service_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/service"
)

func TestCall(t *testing.T) {
	eachWire(t, func(t *testing.T, st *ipcmgr.Store) {
		type sum struct{ A, B int }
		serve(t, st, "calc", func(s *service.Service) {
			service.Handle(s, "add", func(_ context.Context, v sum) (int, error) { return v.A + v.B, nil })
			service.Handle(s, "nothing", func(context.Context, struct{}) (*int, error) { return nil, nil })
		})
		c := caller(t, st, "me")
		for n := range 20 {
			got, err := service.Call[int](testContext(t), c, "calc", "add", sum{n, 1})
			require.NoError(t, err)
			require.Equal(t, n+1, got)
		}
		none, err := service.Call[*int](testContext(t), c, "calc", "nothing", nil)
		require.NoError(t, err)
		require.Nil(t, none)
		pong, err := service.Call[string](testContext(t), c, "calc", service.PingMethod, nil)
		require.NoError(t, err)
		require.Equal(t, "pong", pong)
	})
}

// An answer that is not of the type that the caller wants names that type, and
// none of this package.
func TestAnswerOfAnotherType(t *testing.T) {
	eachWire(t, func(t *testing.T, st *ipcmgr.Store) {
		type sum struct{ A, B int }
		serve(t, st, "svc", func(s *service.Service) {
			echo(s)
			service.HandleAny(s, func(_ context.Context, v any) (any, error) { return v, nil })
		})
		c := caller(t, st, "me")
		_, number := service.Call[string](testContext(t), c, "svc", "echo", 3)
		require.ErrorContains(t, number, `call of echo at "svc": the answer is no string: `)
		_, raw := service.CallRaw[[]int](testContext(t), c, "svc", map[string]any{"a": 1})
		require.ErrorContains(t, raw, `request to "svc": the answer is no []int: `)
		_, field := service.CallRaw[sum](testContext(t), c, "svc", map[string]any{"A": "one"})
		require.ErrorContains(t, field, `the answer is no service_test.sum: A: `)
		for _, err := range []error{number, raw, field} {
			require.Regexp(t, `(A: |string: |int: )[\w ]+ does not fit (string|\[\]int|int)$`, err)
			require.NotRegexp(t, `responseOf|response|Go struct`, err)
			require.NotNil(t, errors.Unwrap(errors.Unwrap(err)), "what the serializer said is kept")
		}
		got, err := service.Call[int](testContext(t), c, "svc", "echo", 3)
		require.NoError(t, err)
		require.Equal(t, 3, got)
	})
}

// Many calls are under way on one client, and each gets its own answer.
func TestConcurrentCalls(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		for _, id := range []string{"a", "b"} {
			serve(t, st, id, func(s *service.Service) {
				service.Handle(s, "who", func(_ context.Context, n int) (string, error) { return fmt.Sprint(id, n), nil })
			}, service.Workers(4))
		}
		c := caller(t, st, "me")
		var wg sync.WaitGroup
		for n := range 40 {
			for _, id := range []string{"a", "b"} {
				wg.Go(func() {
					got, err := service.Call[string](testContext(t), c, id, "who", n)
					if want := fmt.Sprint(id, n); err != nil || got != want {
						t.Errorf("got %q, %v; want %q", got, err, want)
					}
				})
			}
		}
		wg.Wait()
		stats := c.CallStats()
		require.EqualValues(t, 80, stats.Calls)
		require.Zero(t, stats.Late)
		require.Zero(t, stats.Open)
	})
}

func TestFutures(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		serve(t, st, "svc", echo)
		c := caller(t, st, "me")
		var fs []*service.Future[int]
		for n := range 5 {
			fs = append(fs, service.Go[int](testContext(t), c, "svc", "echo", n))
		}
		for n := len(fs) - 1; n >= 0; n-- {
			got, err := fs[n].Await(testContext(t))
			require.NoError(t, err)
			require.Equal(t, n, got)
		}
		ctx, cancel := context.WithCancel(testContext(t))
		f := service.Go[int](ctx, c, "svc", "echo", 9)
		cancel()
		<-f.Done()
		_, err := f.Await(testContext(t))
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestCallAll(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		for _, id := range []string{"a", "b", "c"} {
			serve(t, st, id, func(s *service.Service) {
				service.Handle(s, "name", func(context.Context, any) (string, error) {
					if id == "b" {
						return "", service.Errorf("shy", "not telling")
					}
					return id, nil
				})
			})
			_, err := service.Call[string](testContext(t), caller(t, st, "wait-"+id), id, service.PingMethod, nil)
			require.NoError(t, err)
		}
		c := caller(t, st, "me")
		answers, err := service.CallAll[string](testContext(t), c, "name", nil)
		require.NoError(t, err)
		require.Len(t, answers, 3)
		require.Equal(t, "a", answers[0].Value)
		require.ErrorIs(t, answers[1].Err, service.Code("shy"))
		require.Equal(t, service.Answer[string]{Service: "c", Value: "c"}, answers[2])
		answers, err = service.CallAll[string](testContext(t), c, "name", nil, "c", "nobody")
		require.NoError(t, err)
		require.Equal(t, "c", answers[0].Value)
		require.ErrorIs(t, answers[1].Err, ipcmgr.ErrNoPeer)
	})
}

// A full service does not hold up the others.
func TestCallAllWithAFullOne(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		ctx := testContext(t)
		full, c := connect(t, st, "a-full"), caller(t, st, "me")
		for c.TrySend(ctx, "a-full", 1) == nil {
		}
		asked := make(chan struct{})
		serve(t, st, "svc", func(s *service.Service) {
			service.Handle(s, "name", func(context.Context, any) (string, error) { close(asked); return "svc", nil })
		})
		ended := make(chan []service.Answer[string], 1)
		go func() {
			answers, _ := service.CallAll[string](ctx, c, "name", nil, "a-full", "svc")
			ended <- answers
		}()
		select {
		case <-asked:
		case <-ctx.Done():
			t.Error("the other service is not asked")
		}
		full.Disconnect(ctx, nil)
		answers := <-ended
		require.Error(t, answers[0].Err) // ErrNoPeer if its call had not begun
		require.Equal(t, service.Answer[string]{Service: "svc", Value: "svc"}, answers[1])
	}, func(cfg *ipcmgr.Config) { cfg.MaxPending = 2 })
}

// Ordinary messages beside answers are kept, in order, for who asks.
func TestOrdinaryMessages(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		serve(t, st, "svc", func(s *service.Service) {
			service.Handle(s, "tell", func(ctx context.Context, n int) (int, error) {
				return n, s.Caller().Send(ctx, service.RequestOf(ctx).From, n)
			})
		}, service.Workers(1))
		c := caller(t, st, "me")
		for n := range 5 {
			_, err := service.Call[int](testContext(t), c, "svc", "tell", n)
			require.NoError(t, err)
		}
		got, err := ipcmgr.ReceiveAs[int](testContext(t), c)
		require.NoError(t, err)
		require.Zero(t, got)
		next := 1
		for m, err := range c.Messages(testContext(t)) {
			require.NoError(t, err)
			require.NoError(t, m.Decode(&got))
			require.Equal(t, next, got)
			if next++; next == 3 {
				break
			}
		}
		ms, err := c.Poll(testContext(t), 10)
		require.NoError(t, err)
		require.Len(t, ms, 2)

		// What was not asked for is unread when the client leaves.
		_, err = service.Call[int](testContext(t), c, "svc", "tell", 5)
		require.NoError(t, err)
		var left []int
		require.NoError(t, c.Disconnect(testContext(t), func(m *ipcmgr.Message) error {
			var n int
			defer func() { left = append(left, n) }()
			return m.Decode(&n)
		}))
		require.Equal(t, []int{5}, left)
	})
}

// A goroutine that receives messages and one that calls do not take each
// other's.
func TestReceiveBesideCalls(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		serve(t, st, "svc", echo)
		c := caller(t, st, "me")
		other := connect(t, st, "other")
		const n = 50
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range n {
				if got, err := ipcmgr.ReceiveAs[int](testContext(t), c); err != nil || got != i {
					t.Error(got, err)
					return
				}
			}
		})
		wg.Go(func() {
			for i := range n {
				if err := other.Send(testContext(t), "me", i); err != nil {
					t.Error(err)
				}
			}
		})
		for i := range n {
			got, err := service.Call[int](testContext(t), c, "svc", "echo", i)
			require.NoError(t, err)
			require.Equal(t, i, got)
		}
		wg.Wait()
	})
}

// The deadline of a call is that of the handler. TestVirtualTime has what
// happens then.
func TestDeadlineTravels(t *testing.T) {
	eachWire(t, func(t *testing.T, st *ipcmgr.Store) {
		serve(t, st, "svc", func(s *service.Service) {
			service.Handle(s, "deadline", func(ctx context.Context, _ any) (int64, error) {
				deadline, ok := ctx.Deadline()
				if !ok {
					return 0, nil
				}
				return deadline.UnixMicro(), nil
			})
		})
		c := caller(t, st, "me")
		ctx := testContext(t)
		want, _ := ctx.Deadline()
		got, err := service.Call[int64](ctx, c, "svc", "deadline", nil)
		require.NoError(t, err)
		require.Equal(t, want.UnixMicro(), got)
		f := service.Go[int64](context.Background(), c, "svc", "deadline", nil)
		got, err = f.Await(ctx)
		require.NoError(t, err)
		require.Zero(t, got)
		expired, cancel := context.WithDeadline(ctx, time.Now())
		defer cancel()
		_, err = service.Call[int64](expired, c, "svc", "deadline", nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestNoSuchService(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		c := caller(t, st, "me")
		_, err := service.Call[any](testContext(t), c, "nobody", "x", nil)
		require.ErrorIs(t, err, ipcmgr.ErrNoPeer)
		require.ErrorContains(t, err, `call of x at "nobody"`)
	})
}

// A service that leaves makes the calls that wait for it fail, and no others.
func TestServiceDisconnects(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		svc := connect(t, st, "svc")
		stays := connect(t, st, "stays")
		c := caller(t, st, "me")
		f := service.Go[any](testContext(t), c, "svc", "x", nil)
		g := service.Go[any](testContext(t), c, "stays", "x", nil)
		require.Error(t, svc.Disconnect(testContext(t), nil)) // a request is unread
		_, err := f.Await(testContext(t))
		require.ErrorIs(t, err, ipcmgr.ErrPeerGone)
		select {
		case <-g.Done():
			t.Error("the other call has ended too")
		default:
		}
		stays.Disconnect(testContext(t), nil)
		_, err = g.Await(testContext(t))
		require.ErrorIs(t, err, ipcmgr.ErrPeerGone)

		// A successor has its own mailbox.
		svc = connect(t, st, "svc")
		f = service.Go[any](testContext(t), c, "svc", "x", nil)
		svc.Disconnect(testContext(t), nil)
		awaitTick(t)
		serve(t, st, "svc", echo)
		_, err = f.Await(testContext(t))
		require.ErrorIs(t, err, ipcmgr.ErrPeerGone)
		got, err := service.Call[int](testContext(t), c, "svc", "echo", 3)
		require.NoError(t, err)
		require.Equal(t, 3, got)
	})
}

// awaitTick returns when a file that is made is younger than now. The time since
// when a peer is there may be that of a file, and so that of the clock's last tick.
func awaitTick(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "tick"), time.Now()
	for {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		info, err := os.Stat(path)
		require.NoError(t, err)
		if info.ModTime().After(now) {
			return
		}
	}
}

// While a service is suspended its callers wait, until its deadline.
func TestServiceSuspends(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		if !st.Features().Suspends {
			return
		}
		r := serve(t, st, "svc", echo)
		c := caller(t, st, "me")
		_, err := service.Call[int](testContext(t), c, "svc", "echo", 1)
		require.NoError(t, err)
		r.End()
		require.NoError(t, r.wait(t))
		require.NoError(t, r.client.Suspend(testContext(t), time.Time{}))
		f := service.Go[int](testContext(t), c, "svc", "echo", 2)
		again, err := st.Reconnect(testContext(t), "svc")
		require.NoError(t, err)
		s := service.New(again)
		echo(s)
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(testContext(t)) }()
		got, err := f.Await(testContext(t))
		require.NoError(t, err)
		require.Equal(t, 2, got)
		s.End()
		require.NoError(t, <-ended)

		require.NoError(t, again.Suspend(testContext(t), time.Time{}))
		f = service.Go[int](testContext(t), c, "svc", "echo", 3)
		again, err = st.Reconnect(testContext(t), "svc")
		require.NoError(t, err)
		require.NoError(t, again.Suspend(testContext(t), time.Now().Add(-time.Second)))
		_, err = f.Await(testContext(t))
		require.ErrorIs(t, err, ipcmgr.ErrPeerGone)
		require.ErrorContains(t, err, "deadline")
		_, err = st.Reconnect(testContext(t), "svc")
		require.NoError(t, err)
	})
}

// The deadline of a suspension ends a call that waits when it comes. Time is
// virtual.
func TestDeadlineOfASuspension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, err := ipcmgr.Spawn(t.Context(), ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}})
		require.NoError(t, err)
		svc, me := connect(t, st, "svc"), connect(t, st, "me")
		require.NoError(t, svc.Suspend(t.Context(), time.Now().Add(time.Hour)))
		c := service.NewCaller(me)
		began := time.Now()
		_, err = service.Call[any](t.Context(), c, "svc", "x", nil)
		require.ErrorIs(t, err, ipcmgr.ErrPeerGone)
		require.ErrorContains(t, err, "deadline")
		require.Equal(t, time.Hour, time.Since(began).Truncate(time.Minute))
		require.NoError(t, c.Disconnect(t.Context(), nil))
		require.NoError(t, st.Unspawn(t.Context()))
		require.NoError(t, st.Close())
	})
}

// An answer that has nobody waiting for it is dropped and counted, also one
// that names a call at another service.
func TestLateAndFalseAnswers(t *testing.T) {
	eachWire(t, func(t *testing.T, st *ipcmgr.Store) {
		release := make(chan struct{})
		serve(t, st, "svc", func(s *service.Service) {
			service.Handle(s, "slow", func(ctx context.Context, _ any) (int, error) {
				<-release
				return 1, nil
			})
			echo(s)
		})
		liar := connect(t, st, "liar")
		c := caller(t, st, "me")
		ctx, cancel := context.WithCancelCause(testContext(t))
		f := service.Go[int](ctx, c, "svc", "slow", nil)
		g := service.Go[int](testContext(t), c, "liar", "x", nil)
		why := errors.New("tired of it")
		cancel(why)
		_, err := f.Await(testContext(t))
		require.ErrorIs(t, err, why)
		close(release)
		m, err := liar.Receive(testContext(t))
		require.NoError(t, err)
		var req map[string]any
		require.NoError(t, m.Decode(&req))
		h := service.Go[int](testContext(t), c, "svc", "echo", 5)
		require.NoError(t, liar.Send(testContext(t), "me", map[string]any{"ipcm_response_id": "x", "response": 1}))
		require.NoError(t, liar.Send(testContext(t), "me", map[string]any{"ipcm_response_id": req["ipcm_request_id"], "response": 7}))
		got, err := g.Await(testContext(t))
		require.NoError(t, err)
		require.Equal(t, 7, got)
		got, err = h.Await(testContext(t))
		require.NoError(t, err)
		require.Equal(t, 5, got)
		require.GreaterOrEqual(t, c.CallStats().Late, int64(1))
	})
}

// A call that is given up at the moment in which somebody begins to wait for it
// ends all the same.
func TestGivenUpWhileAwaited(t *testing.T) {
	st := spawn(t, kinds[0])
	connect(t, st, "svc")
	c := caller(t, st, "me")
	waiting := testContext(t)
	for range 2000 {
		ctx, cancel := context.WithCancel(waiting)
		f := service.Go[any](ctx, c, "svc", "x", nil)
		go cancel()
		_, err := f.Await(waiting)
		require.ErrorIs(t, err, context.Canceled)
	}
}

func TestCloseEndsCalls(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		connect(t, st, "svc")
		c := caller(t, st, "me")
		f := service.Go[any](testContext(t), c, "svc", "x", nil)
		ended := make(chan error, 1)
		go func() {
			_, err := f.Await(testContext(t))
			ended <- err
		}()
		c.Close()
		require.ErrorIs(t, <-ended, ipcmgr.ErrClosed)
		_, err := service.Call[any](testContext(t), c, "svc", "x", nil)
		require.ErrorIs(t, err, ipcmgr.ErrClosed)
	})
}
