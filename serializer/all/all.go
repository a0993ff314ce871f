// Package all registers every serializer of ipcmgr when it is imported.
package all

import (
	_ "github.com/ipcmgr/ipcmgr/serializer/json"
	_ "github.com/ipcmgr/ipcmgr/serializer/msgpack"
)
