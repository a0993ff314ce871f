package ipcmgr_test

import _ "github.com/ipcmgr/ipcmgr/protocol/all"

// protocols are those that the tests run over.
var protocols = []string{"mem", "fsqueue", "unixsocket", "bbolt"}
