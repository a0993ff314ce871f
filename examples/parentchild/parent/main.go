// Parent starts a child process, has it double some numbers, and ends it. The
// child is the program "child" beside this one:
//
//	go build -o /tmp/parentchild/ ./examples/parentchild/...
//	/tmp/parentchild/parent
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "parent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cfg, err := ipcmgr.ConfigFromEnv()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	err = ipcmgr.Run(ctx, cfg, func(ctx context.Context, st *ipcmgr.Store) error {
		child, err := start(st)
		if err != nil {
			ended <- nil
			return err
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		go func() { // a child that dies must not leave its parent waiting
			err := child.Wait()
			cancel(fmt.Errorf("the child has ended: %v", child.ProcessState))
			ended <- err
		}()
		return talk(ctx, st)
	}) // asks the child to terminate, and waits until it has left
	return errors.Join(err, <-ended)
}

// start starts the child, which learns from its environment where the store is.
func start(st *ipcmgr.Store) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child := exec.Command(filepath.Join(filepath.Dir(self), "child"))
	child.Env = append(os.Environ(), ipcmgr.EnvStore+"="+st.Info().String())
	child.Stderr = os.Stderr
	return child, child.Start()
}

func talk(ctx context.Context, st *ipcmgr.Store) error {
	me, err := st.Connect(ctx, "parent")
	if err != nil {
		return err
	}
	if err := st.WaitPeer(ctx, "child"); err != nil {
		return err
	}
	for n := 1; n <= 3; n++ {
		if err := me.Send(ctx, "child", n); err != nil {
			return err
		}
		doubled, err := ipcmgr.ReceiveAs[int](ctx, me)
		if err != nil {
			return err
		}
		fmt.Printf("%d doubled is %d\n", n, doubled)
	}
	return nil
}
