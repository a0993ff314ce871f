// Child doubles the numbers that it is sent, until the store's owner asks it to
// terminate, or its parent is gone. The program "parent" starts it.
package main

import (
	"context"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
)

func main() {
	proc.Main(func(ctx context.Context, me ipcmgr.Client) error {
		return ipcmgr.Handle(ctx, me, func(ctx context.Context, m *ipcmgr.Message, n int) error {
			return me.Send(ctx, m.From, 2*n)
		})
	})
}
