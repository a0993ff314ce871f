package service_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/service"
)

// Errors and panics become error responses, whose text tells nothing unless
// asked to, and the service lives on.
func TestErrors(t *testing.T) {
	for _, details := range []bool{false, true} {
		t.Run(fmt.Sprint("details=", details), func(t *testing.T) {
			eachWire(t, func(t *testing.T, st *ipcmgr.Store) {
				var opts []service.Option
				if details {
					opts = append(opts, service.Details())
				}
				r := serve(t, st, "svc", func(s *service.Service) {
					service.Handle(s, "fail", func(context.Context, any) (any, error) { return 1, errors.New("secret") })
					service.Handle(s, "panic", func(context.Context, any) (any, error) { panic("secret") })
					service.Handle(s, "tell", func(context.Context, any) (any, error) {
						return nil, fmt.Errorf("wrapped: %w", service.Errorf("no_user", "no user %q", "bob"))
					})
					service.Handle(s, "huge", func(context.Context, any) (any, error) {
						return make([]byte, st.MaxMessage()), nil
					})
					service.Handle(s, "strange", func(context.Context, any) (any, error) { return make(chan int), nil })
					service.Handle(s, "number", func(_ context.Context, n int) (int, error) { return n, nil })
				}, opts...)
				c := caller(t, st, "me")
				call := func(method string, args any) *service.RemoteError {
					v, err := service.Call[any](testContext(t), c, "svc", method, args)
					require.Nil(t, v)
					var remote *service.RemoteError
					require.ErrorAs(t, err, &remote)
					require.Equal(t, "svc", remote.Service)
					require.Equal(t, method, remote.Method)
					return remote
				}
				for _, method := range []string{"fail", "panic", "huge", "strange"} {
					e := call(method, nil)
					require.ErrorIs(t, e, service.Internal)
					require.Equal(t, !details, e.Text == "Internal service error", e.Text)
				}
				if details {
					require.Equal(t, "secret", call("fail", nil).Text)
					require.Contains(t, call("panic", nil).Text, "secret")
				}
				e := call("tell", nil)
				require.ErrorIs(t, e, service.Code("no_user"))
				require.Equal(t, `no user "bob"`, e.Text)
				require.EqualError(t, e, `call of tell at "svc": no user "bob"`)
				require.ErrorIs(t, call("nonesuch", nil), service.NoMethod)
				require.ErrorIs(t, call("number", "three"), service.BadRequest)
				require.NotRegexp(t, `argsOf|request|Go struct`, call("number", "three").Text)
				n, err := service.Call[int](testContext(t), c, "svc", "number", 3)
				require.NoError(t, err)
				require.Equal(t, 3, n)

				stats := r.Stats()
				require.EqualValues(t, stats.Requests-1, stats.Errors)
				require.EqualValues(t, 3, stats.Methods["number"].Requests)
				require.EqualValues(t, 2, stats.Methods["number"].Errors)
			}, func(cfg *ipcmgr.Config) { cfg.MaxMessage = 64 << 10 })
		})
	}
}

// What a foreign program sends, and gets: the content of the messages.
func TestForm(t *testing.T) {
	eachWire(t, func(t *testing.T, st *ipcmgr.Store) {
		serve(t, st, "svc", func(s *service.Service) {
			service.Handle(s, "double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
			service.HandleAny(s, func(_ context.Context, v any) (string, error) {
				if v == "die" {
					return "", errors.New("dead")
				}
				return fmt.Sprint("any ", v), nil
			})
		})
		perl := connect(t, st, "perl")
		for _, c := range []struct {
			request any
			want    map[string]any
		}{
			{map[string]any{"method": "double", "args": 4}, map[string]any{"response": 8.0}},
			{"ping", map[string]any{"response": "any ping"}},
			{map[string]any{"method": 5}, map[string]any{"response": "any map[method:5]"}},
			{map[string]any{"action": "x"}, map[string]any{"response": "any map[action:x]"}},
			{"die", map[string]any{"response": nil, "ipcm_error": "Internal service error", "ipcm_code": "internal"}},
		} {
			require.NoError(t, perl.Send(testContext(t), "svc", map[string]any{"ipcm_request_id": "0-1-2", "request": c.request}))
			got, err := ipcmgr.ReceiveAs[map[string]any](testContext(t), perl)
			require.NoError(t, err)
			c.want["ipcm_response_id"] = "0-1-2"
			if n, ok := got["response"].(int8); ok { // msgpack keeps integers
				got["response"] = float64(n)
			}
			require.Equal(t, c.want, got)
		}

		// The other way round.
		me := caller(t, st, "me")
		f := service.Go[string](testContext(t), me, "perl", "m", []int{1})
		got, err := ipcmgr.ReceiveAs[map[string]any](testContext(t), perl)
		require.NoError(t, err)
		require.Equal(t, "m", got["request"].(map[string]any)["method"])
		require.NoError(t, perl.Send(testContext(t), "me", map[string]any{"ipcm_response_id": got["ipcm_request_id"], "response": "yes"}))
		answer, err := f.Await(testContext(t))
		require.NoError(t, err)
		require.Equal(t, "yes", answer)
		go func() {
			for m, err := range perl.Messages(testContext(t)) {
				var v map[string]any
				if err != nil || m.Decode(&v) != nil {
					return
				}
				perl.Send(testContext(t), "me", map[string]any{"ipcm_response_id": v["ipcm_request_id"], "response": nil, "ipcm_error": fmt.Sprint(v["request"])})
			}
		}()
		_, err = service.CallRaw[string](testContext(t), me, "perl", "raw")
		var remote *service.RemoteError
		require.ErrorAs(t, err, &remote)
		require.Equal(t, "raw", remote.Text)
		require.NoError(t, perl.Disconnect(testContext(t), nil))
	})
}

func TestGeneralMessages(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		got := make(chan string, 10)
		r := serve(t, st, "svc", func(s *service.Service) {
			s.OnMessage(func(_ context.Context, m *ipcmgr.Message) error {
				var v string
				if err := m.Decode(&v); err != nil {
					return err
				}
				got <- v
				if v == "panic" {
					panic(v)
				}
				return errors.New("intercepted")
			})
			echo(s)
		}, service.Workers(1))
		c := caller(t, st, "me")
		for _, v := range []any{"a", "panic", 5, "b"} {
			require.NoError(t, c.Send(testContext(t), "svc", v))
		}
		for _, want := range []string{"a", "panic", "b"} {
			require.Equal(t, want, <-got)
		}
		_, err := service.Call[int](testContext(t), c, "svc", "echo", 1)
		require.NoError(t, err)
		require.EqualValues(t, 4, r.Stats().Errors)
	})
}

// With one worker the order is kept; with n, n run at once and no more.
func TestWorkers(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		var order []int
		serve(t, st, "one", func(s *service.Service) {
			service.Handle(s, "note", func(_ context.Context, n int) (any, error) { order = append(order, n); return nil, nil })
		}, service.Workers(1))
		const bound = 3
		var running, most atomic.Int32
		gate := make(chan struct{})
		serve(t, st, "three", func(s *service.Service) {
			service.Handle(s, "enter", func(context.Context, any) (any, error) {
				n := running.Add(1)
				defer running.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				if n == bound {
					close(gate) // and it stays open
				}
				<-gate
				return nil, nil
			})
		}, service.Workers(bound))
		c := caller(t, st, "me")
		var notes []*service.Future[any]
		for n := range 30 {
			notes = append(notes, service.Go[any](testContext(t), c, "one", "note", n))
		}
		for range bound {
			notes = append(notes, service.Go[any](testContext(t), c, "three", "enter", nil))
		}
		for _, f := range notes {
			_, err := f.Await(testContext(t))
			require.NoError(t, err)
		}
		require.Len(t, order, 30)
		require.True(t, slices.IsSorted(order), order)
		require.EqualValues(t, bound, most.Load())
	})
}

// A service may call others, and itself be called meanwhile, with one worker.
func TestNestedServices(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		serve(t, st, "inner", func(s *service.Service) {
			service.Handle(s, "say", func(_ context.Context, v string) (string, error) { return "inner: " + v, nil })
		})
		serve(t, st, "outer", func(s *service.Service) {
			service.Handle(s, "say", func(ctx context.Context, v string) (string, error) {
				v, err := service.Call[string](ctx, s.Caller(), "inner", "say", v)
				return "outer: " + v, err
			})
			service.Handle(s, "later", func(ctx context.Context, v string) (any, error) {
				reply := service.RequestOf(ctx).Defer()
				go func() {
					v, err := service.Call[string](ctx, s.Caller(), "inner", "say", v)
					if err != nil {
						reply.Fail(err)
					} else if reply.Send("outer: "+v) == nil && !errors.Is(reply.Send(1), service.ErrAnswered) {
						panic("answered twice")
					}
				}()
				return nil, nil
			})
		}, service.Workers(1))
		c := caller(t, st, "me")
		var fs []*service.Future[string]
		for _, method := range []string{"say", "later", "say", "later"} {
			fs = append(fs, service.Go[string](testContext(t), c, "outer", method, "hello"))
		}
		for _, f := range fs {
			got, err := f.Await(testContext(t))
			require.NoError(t, err)
			require.Equal(t, "outer: inner: hello", got)
		}
	})
}

func TestCallbacks(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		var ticks, cleaned atomic.Int32
		newcomer := make(chan struct{}, 10)
		started := false
		r := serve(t, st, "svc", func(s *service.Service) {
			s.OnStart(func(context.Context) error { started = true; return nil })
			s.Every(5*time.Millisecond, func(context.Context) error {
				if ticks.Add(1) == 1 {
					panic("intercepted")
				}
				return errors.New("intercepted")
			})
			s.OnPeer(func(_ context.Context, p ipcmgr.Peer) error {
				if p.ID == "new" && p.State == ipcmgr.Active {
					newcomer <- struct{}{}
				}
				return errors.New("intercepted")
			})
			s.EndWhen(func() bool { return ticks.Load() > 2 && len(newcomer) > 0 })
			s.OnEnd(func(context.Context) error { cleaned.Add(1); return nil })
		})
		connect(t, st, "new")
		require.NoError(t, r.wait(t))
		require.True(t, started)
		require.EqualValues(t, 1, cleaned.Load())
	})
}

func TestStartFails(t *testing.T) {
	st := spawn(t, kinds[0])
	cleaned := false
	r := serve(t, st, "svc", func(s *service.Service) {
		s.OnStart(func(context.Context) error { return errors.New("no") })
		s.OnEnd(func(context.Context) error { cleaned = true; return nil })
	})
	require.ErrorContains(t, r.wait(t), `service "svc": start: no`)
	require.True(t, cleaned)
	require.Error(t, r.Serve(testContext(t)))
}

func TestWrongSetup(t *testing.T) {
	st := spawn(t, kinds[0])
	r := serve(t, st, "svc", func(s *service.Service) {
		echo(s)
		echo(s)
		for _, name := range []string{"", "a,b", "*", "ipcmgr.mine"} {
			service.Handle(s, name, func(context.Context, any) (any, error) { return nil, nil })
		}
		s.Every(0, nil)
		s.OnSignal(nil)
	}, service.Workers(0))
	err := r.wait(t)
	for _, part := range []string{`method "echo" is set twice`, "no name", `"a,b"`, `"*"`, `"ipcmgr.mine"`, "interval", "signal", "0 workers"} {
		require.ErrorContains(t, err, part)
	}
}

func TestMiddleware(t *testing.T) {
	eachWire(t, func(t *testing.T, st *ipcmgr.Store) {
		var seen []string
		note := func(name string) service.Middleware {
			return func(next service.Handler) service.Handler {
				return func(ctx context.Context, r *service.Request) (any, error) {
					seen = append(seen, r.Method)
					v, err := next(ctx, r)
					return fmt.Sprintf("%s(%v)", name, v), err
				}
			}
		}
		serve(t, st, "inner", func(s *service.Service) {
			service.Handle(s, "trace", func(ctx context.Context, _ any) (service.Trace, error) { return service.TraceOf(ctx), nil })
		})
		serve(t, st, "svc", func(s *service.Service) {
			echo(s)
			service.Handle(s, "trace", func(ctx context.Context, _ any) (string, error) {
				v, err := service.Call[service.Trace](ctx, s.Caller(), "inner", "trace", nil)
				return v.Parent + v.State, err
			})
		}, service.Use(note("a"), note("b")))
		c := caller(t, st, "me")
		got, err := service.Call[string](testContext(t), c, "svc", "echo", 1)
		require.NoError(t, err)
		require.Equal(t, "a(b(1))", got)
		_, err = service.Call[any](testContext(t), c, "svc", "nonesuch", 1)
		require.ErrorIs(t, err, service.NoMethod)
		require.Equal(t, []string{"echo", "echo", "nonesuch", "nonesuch"}, seen)
		ctx := service.WithTrace(testContext(t), service.Trace{Parent: "00-ab", State: "x=1"})
		got, err = service.Call[string](ctx, c, "svc", "trace", nil)
		require.NoError(t, err)
		require.Equal(t, "a(b(00-abx=1))", got)
	})
}

func TestIntrospection(t *testing.T) {
	eachWire(t, func(t *testing.T, st *ipcmgr.Store) {
		serve(t, st, "svc", func(s *service.Service) {
			echo(s)
			service.Handle(s, "fail", func(context.Context, any) (any, error) { return nil, errors.New("secret") })
			service.HandleAny(s, func(context.Context, any) (any, error) { return nil, nil })
		}, service.Durable(), service.Workers(2))
		c := caller(t, st, "me")
		info, err := service.Call[service.Info](testContext(t), c, "svc", service.InfoMethod, nil)
		require.NoError(t, err)
		require.Equal(t, "svc", info.ID)
		require.Equal(t, []string{"echo", "fail"}, info.Methods)
		require.True(t, info.CatchAll && info.Durable)
		require.Equal(t, 2, info.Workers)
		service.Call[any](testContext(t), c, "svc", "fail", nil)
		service.CallRaw[any](testContext(t), c, "svc", 1)
		stats, err := service.Call[service.Stats](testContext(t), c, "svc", service.StatsMethod, nil)
		require.NoError(t, err)
		require.EqualValues(t, 2, stats.Requests)
		require.EqualValues(t, 1, stats.Errors)
		require.Equal(t, "Internal service error", stats.LastError)
		require.EqualValues(t, 1, stats.Methods[""].Requests)
		list, err := service.List(testContext(t), st)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, []string{"*", "echo", "fail"}, list[0].Methods)
		require.True(t, list[0].Durable)
	})
}

// Time is virtual over mem: an interval of an hour, and a deadline.
func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, err := ipcmgr.Spawn(t.Context(), ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}})
		require.NoError(t, err)
		svcClient, err := st.Connect(t.Context(), "svc")
		require.NoError(t, err)
		svc := service.New(svcClient, service.Workers(2))
		var ticks atomic.Int32
		svc.Every(time.Hour, func(context.Context) error { ticks.Add(1); return nil })
		service.Handle(svc, "hang", func(ctx context.Context, _ any) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
		ended := make(chan error, 1)
		go func() { ended <- svc.Serve(t.Context()) }()
		me, err := st.Connect(t.Context(), "me")
		require.NoError(t, err)
		c := service.NewCaller(me)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour+time.Minute)
		defer cancel()
		began := time.Now()
		_, err = service.Call[any](ctx, c, "svc", "hang", nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 3*time.Hour+time.Minute, time.Since(began))
		require.EqualValues(t, 3, ticks.Load())
		svc.End()
		require.NoError(t, <-ended)
		require.NoError(t, c.Disconnect(t.Context(), func(*ipcmgr.Message) error { return nil })) // perhaps a late answer
		require.NoError(t, st.Shutdown(t.Context()))
	})
}
