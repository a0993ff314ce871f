package fsqueue

import (
	"context"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// SpawnOver is Spawn over other files.
func SpawnOver(ctx context.Context, fsys disk.FS, route string, s protocol.Settings) (protocol.Store, error) {
	return newStore(kind(fsys).Spawn(ctx, route, s))
}
