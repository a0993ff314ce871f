package service_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/service"
)

// within runs f in a store of this process, as two clients of it.
func within(f func(ctx context.Context, calc, me ipcmgr.Client) error) {
	cfg := ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}}
	err := ipcmgr.Run(context.Background(), cfg, func(ctx context.Context, st *ipcmgr.Store) error {
		calc, err := st.Connect(ctx, "calc")
		if err != nil {
			return err
		}
		me, err := st.Connect(ctx, "me")
		if err != nil {
			return err
		}
		return f(ctx, calc, me)
	})
	if err != nil {
		log.Fatal(err)
	}
}

// serving starts a service, and returns what ends it in order.
func serving(ctx context.Context, svc *service.Service) (end func()) {
	ended := make(chan error)
	go func() { ended <- svc.Serve(ctx) }()
	return func() {
		svc.End()
		if err := <-ended; err != nil {
			log.Fatal(err)
		}
	}
}

type division struct{ A, B int }

func divide(_ context.Context, d division) (int, error) {
	if d.B == 0 {
		return 0, service.Errorf("zero", "%d cannot be divided by 0", d.A)
	}
	return d.A / d.B, nil
}

func Example() {
	within(func(ctx context.Context, calc, me ipcmgr.Client) error {
		svc := service.New(calc)
		service.Handle(svc, "divide", divide)
		defer serving(ctx, svc)() // it would be another process's

		caller := service.NewCaller(me)
		defer caller.Close()
		fmt.Println(service.Call[int](ctx, caller, "calc", "divide", division{42, 2}))
		_, err := service.Call[int](ctx, caller, "calc", "divide", division{42, 0})
		fmt.Println(err, errors.Is(err, service.Code("zero")))
		return nil
	})
	// Output:
	// 21 <nil>
	// call of divide at "calc": 42 cannot be divided by 0 true
}

func ExampleGo() {
	within(func(ctx context.Context, calc, me ipcmgr.Client) error {
		svc := service.New(calc)
		service.Handle(svc, "divide", divide)
		defer serving(ctx, svc)()

		caller := service.NewCaller(me)
		defer caller.Close()
		var calls []*service.Future[int]
		for n := 1; n <= 3; n++ {
			calls = append(calls, service.Go[int](ctx, caller, "calc", "divide", division{6, n}))
		}
		for _, c := range calls {
			fmt.Println(c.Await(ctx))
		}
		return nil
	})
	// Output:
	// 6 <nil>
	// 3 <nil>
	// 2 <nil>
}

// Whoever calls goes on receiving other messages.
func ExampleCaller_Receive() {
	within(func(ctx context.Context, calc, me ipcmgr.Client) error {
		svc := service.New(calc)
		service.Handle(svc, "greet", func(ctx context.Context, _ any) (string, error) {
			r := service.RequestOf(ctx)
			return "answer", svc.Caller().Send(ctx, r.From, "message")
		})
		defer serving(ctx, svc)()

		caller := service.NewCaller(me)
		defer caller.Close()
		fmt.Println(service.Call[string](ctx, caller, "calc", "greet", nil))
		fmt.Println(ipcmgr.ReceiveAs[string](ctx, caller))
		return nil
	})
	// Output:
	// answer <nil>
	// message <nil>
}

// The answer is given when the work is done, and other requests are handled
// meanwhile.
func ExampleRequest_Defer() {
	within(func(ctx context.Context, calc, me ipcmgr.Client) error {
		work := make(chan *service.Reply, 1)
		svc := service.New(calc)
		service.Handle(svc, "slow", func(ctx context.Context, _ any) (any, error) {
			work <- service.RequestOf(ctx).Defer()
			return nil, nil
		})
		defer serving(ctx, svc)()
		go func() { (<-work).Send("done") }()

		caller := service.NewCaller(me)
		defer caller.Close()
		fmt.Println(service.Call[string](ctx, caller, "calc", "slow", nil))
		return nil
	})
	// Output: done <nil>
}

func ExampleUse() {
	logged := func(next service.Handler) service.Handler {
		return func(ctx context.Context, r *service.Request) (any, error) {
			v, err := next(ctx, r)
			fmt.Println(r.Method, "of", r.From, "gave", v)
			return v, err
		}
	}
	within(func(ctx context.Context, calc, me ipcmgr.Client) error {
		svc := service.New(calc, service.Use(logged))
		service.Handle(svc, "divide", divide)
		defer serving(ctx, svc)()

		caller := service.NewCaller(me)
		defer caller.Close()
		_, err := service.Call[int](ctx, caller, "calc", "divide", division{8, 4})
		return err
	})
	// Output: divide of me gave 2
}

// A service does more than answer.
func ExampleService_Every() {
	within(func(ctx context.Context, calc, _ ipcmgr.Client) error {
		svc := service.New(calc)
		svc.OnPeer(func(_ context.Context, p ipcmgr.Peer) error { return nil })
		svc.OnSignal(func(context.Context, os.Signal) error { return nil }, os.Interrupt)
		svc.Every(time.Millisecond, func(context.Context) error {
			svc.End()
			return nil
		})
		svc.OnEnd(func(context.Context) error {
			fmt.Println("cleaned up")
			return nil
		})
		return svc.Serve(ctx)
	})
	// Output: cleaned up
}
