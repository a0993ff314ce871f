package ipcmgr_test

import (
	"github.com/ipcmgr/ipcmgr/internal/trial"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
)

// protocols are those that the tests run over.
var protocols = trial.Viable("mem", "fsqueue", "unixsocket", "bbolt", "shm")
