package shm_test

import (
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol/protocoltest"
)

func TestMain(m *testing.M) { protocoltest.Main(m) }
