package ipcmgr_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/ipcmgr/ipcmgr"
)

// memory is the configuration of most examples: a store in the memory of this
// process. A program that reaches other processes names another protocol, or
// leaves the Config empty.
var memory = ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Serializer: "json"}

// check, must and closeStore end an example that fails. They keep the examples
// short; a program returns its errors.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

// inOwnPlace lets temporary stores be made, and looked for, in a directory that
// nobody else uses, until its result is called.
func inOwnPlace() (leave func()) {
	dir := must(os.MkdirTemp("", "example"))
	check(os.Setenv("XDG_RUNTIME_DIR", dir))
	return func() {
		check(os.Unsetenv("XDG_RUNTIME_DIR"))
		check(os.RemoveAll(dir))
	}
}

func closeStore(st *ipcmgr.Store) { check(st.Close()) }

// A parent and a worker. Here both are in one process; elsewhere the worker is
// a program of its own that calls Open with the store's info.
func Example() {
	worker := func(ctx context.Context, info string) error {
		st, err := ipcmgr.Open(ctx, info)
		if err != nil {
			return err
		}
		defer st.Close()
		me, err := st.Connect(ctx, "worker")
		if err != nil {
			return err
		}
		err = ipcmgr.Handle(ctx, me, func(ctx context.Context, m *ipcmgr.Message, n int) error {
			return me.Send(ctx, m.From, 2*n)
		})
		return errors.Join(err, me.Disconnect(ctx, nil))
	}

	err := ipcmgr.Run(context.Background(), memory, func(ctx context.Context, st *ipcmgr.Store) error {
		worked := make(chan error, 1)
		go func() { worked <- worker(ctx, st.Info().String()) }()

		me, err := st.Connect(ctx, "parent")
		if err != nil {
			return err
		}
		if err := st.WaitPeer(ctx, "worker"); err != nil {
			return err
		}
		if err := me.Send(ctx, "worker", 21); err != nil {
			return err
		}
		answer, err := ipcmgr.ReceiveAs[int](ctx, me)
		fmt.Println(answer)
		return errors.Join(err, st.Terminate(ctx), <-worked)
	})
	fmt.Println(err)
	// Output:
	// 42
	// <nil>
}
