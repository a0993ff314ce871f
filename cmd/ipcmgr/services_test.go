//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/service"
)

// calc is a service for the scripts, a command of its own: "calc ID".
func calc() {
	if err := serveCalc(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "calc:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serveCalc(id string) error {
	ctx := context.Background()
	st, err := ipcmgr.Open(ctx, "")
	if err != nil {
		return err
	}
	defer st.Close()
	c, err := st.Connect(ctx, id)
	if err != nil {
		return err
	}
	s := service.New(c)
	service.Handle(s, "add", func(_ context.Context, in [2]int) (map[string]int, error) {
		return map[string]int{"sum": in[0] + in[1]}, nil
	})
	service.Handle(s, "nothing", func(context.Context, *int) (*int, error) { return nil, nil })
	service.Handle(s, "fail", func(context.Context, any) (any, error) { return nil, service.Errorf("no_user", "no user %q", "bob") })
	service.Handle(s, "hang", func(ctx context.Context, _ any) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
	service.Handle(s, "die", func(context.Context, any) (any, error) { os.Exit(0); return nil, nil })
	service.Handle(s, "tell", func(ctx context.Context, _ any) (any, error) {
		return nil, s.Caller().Send(ctx, service.RequestOf(ctx).From, "told")
	})
	service.HandleAny(s, func(_ context.Context, v any) (any, error) { return []any{"any", v}, nil })
	return errors.Join(s.Serve(ctx), c.Disconnect(ctx, nil))
}
