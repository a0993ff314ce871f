package ipcmgr_test

// protocols are those that the tests run over.
var protocols = []string{"mem"}
