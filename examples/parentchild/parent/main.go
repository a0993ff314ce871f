// Parent starts a child process, has it double some numbers, and ends it. The
// child is the program "child" beside this one:
//
//	go build -o /tmp/parentchild/ ./examples/parentchild/...
//	/tmp/parentchild/parent
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
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
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return ipcmgr.Run(ctx, cfg, func(ctx context.Context, st *ipcmgr.Store) error {
		cmd := exec.Command(filepath.Join(filepath.Dir(self), "child"))
		cmd.Stderr = os.Stderr
		child, err := proc.Start(ctx, st, "child", cmd) // returns when it is connected
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		go func() { // a child that dies must not leave its parent waiting
			<-child.Done()
			cancel(fmt.Errorf("the child has ended: %v", child.State()))
		}()
		return talk(ctx, st, child.ID())
	}) // asks the child to terminate, and waits until it has left
}

func talk(ctx context.Context, st *ipcmgr.Store, child string) error {
	me, err := st.Connect(ctx, "parent")
	if err != nil {
		return err
	}
	for n := 1; n <= 3; n++ {
		if err := me.Send(ctx, child, n); err != nil {
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
