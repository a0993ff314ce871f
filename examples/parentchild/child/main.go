// Child doubles the numbers that it is sent, until the store's owner asks it to
// terminate, or is gone. The program "parent" starts it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/ipcmgr/ipcmgr"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	st, err := ipcmgr.Open(ctx, "") // the store that IPCMGR_STORE names
	if err != nil {
		return err
	}
	defer st.Close()
	me, err := st.Connect(ctx, "child")
	if err != nil {
		return err
	}
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go follow(working, st, "parent", cancel)
	err = ipcmgr.Handle(working, me, func(ctx context.Context, m *ipcmgr.Message, n int) error {
		return me.Send(ctx, m.From, 2*n)
	})
	return errors.Join(err, me.Disconnect(ctx, nil))
}

// follow ends the work when the peer crashes: nobody would ask this process to
// terminate any more.
func follow(ctx context.Context, st *ipcmgr.Store, id string, cancel context.CancelCauseFunc) {
	for p, err := range st.Watch(ctx) {
		if err != nil {
			cancel(err)
			return
		}
		if p.ID == id && p.State == ipcmgr.Crashed {
			cancel(fmt.Errorf("%s: %w", id, ipcmgr.ErrPeerCrashed))
			return
		}
	}
}
