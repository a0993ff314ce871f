package bbolt_test

import (
	"testing"

	"github.com/ipcmgr/ipcmgr/internal/bell"
	"github.com/ipcmgr/ipcmgr/protocol/bbolt"
	"github.com/ipcmgr/ipcmgr/protocol/protocoltest"
)

func TestConformance(t *testing.T) {
	protocoltest.Run(t, protocoltest.Harness{Protocol: bbolt.Protocol{}, Processes: true, Polls: bell.Polls})
}
