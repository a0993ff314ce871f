// Package all registers every protocol of ipcmgr when it is imported.
package all

import (
	_ "github.com/ipcmgr/ipcmgr/protocol/bbolt"
	_ "github.com/ipcmgr/ipcmgr/protocol/fsqueue"
	_ "github.com/ipcmgr/ipcmgr/protocol/mem"
	_ "github.com/ipcmgr/ipcmgr/protocol/shm"
	_ "github.com/ipcmgr/ipcmgr/protocol/unixsocket"
)
