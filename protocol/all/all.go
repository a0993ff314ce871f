// Package all registers every protocol of ipcmgr when it is imported.
package all

import (
	_ "github.com/ipcmgr/ipcmgr/protocol/mem"
)
