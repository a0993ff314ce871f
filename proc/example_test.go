//go:build unix

package proc_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
)

// double answers each number with its double. It runs in a process of its own:
// main, here TestMain, begins with proc.Init.
var double = proc.Register("double", func(ctx context.Context, c ipcmgr.Client) error {
	return ipcmgr.Handle(ctx, c, func(ctx context.Context, m *ipcmgr.Message, n int) error {
		return c.Send(ctx, m.From, 2*n)
	})
})

// A parent starts a child, talks to it, and shuts down. The child is connected
// when Start returns.
func Example() {
	err := ipcmgr.Run(context.Background(), ipcmgr.Config{}, func(ctx context.Context, st *ipcmgr.Store) error {
		me, err := st.Connect(ctx, "parent")
		if err != nil {
			return err
		}
		child, err := double.Start(ctx, st, "child", proc.LinesTo(os.Stderr))
		if err != nil {
			return err
		}
		if err := me.Send(ctx, child.ID(), 21); err != nil {
			return err
		}
		answer, err := ipcmgr.ReceiveAs[int](ctx, me)
		if err != nil {
			return err
		}
		fmt.Println(answer)
		return child.Stop(ctx)
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 42
}

// A worker that fails is started again, and takes up its mailbox.
func ExampleSupervise() {
	err := ipcmgr.Run(context.Background(), ipcmgr.Config{}, func(ctx context.Context, st *ipcmgr.Store) error {
		me, err := st.Connect(ctx, "me")
		if err != nil {
			return err
		}
		sup, err := proc.Supervise(ctx, st, proc.Strategy{Restarts: 5, Per: time.Minute},
			proc.Spec{ID: "worker", Cmd: faulty.Cmd})
		if err != nil {
			return err
		}
		if err := sup.Ready(ctx); err != nil {
			return err
		}
		if _, err := me.SendBatch(ctx, "worker", "error", "more work"); err != nil { // it fails on the first
			return err
		}
		for range 2 {
			answer, err := ipcmgr.ReceiveAs[string](ctx, me)
			if err != nil {
				return err
			}
			fmt.Println("answered:", answer)
		}
		if err := sup.Ready(ctx); err != nil { // an answer may come before the word that it is ready
			return err
		}
		if err := sup.Stop(ctx); err != nil {
			return err
		}
		for e := range sup.Events(ctx) {
			fmt.Println(e.ID, e.What)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// answered: error
	// answered: more work
	// worker started
	// worker ready
	// worker crashed
	// worker restarted
	// worker ready
	// worker stopped
}
