package mem_test

import (
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/mem"
	"github.com/ipcmgr/ipcmgr/protocol/protocoltest"
)

func TestMain(m *testing.M) { protocoltest.Main(m) }

func TestConformance(t *testing.T) {
	protocoltest.Run(t, protocoltest.Harness{
		Protocol: mem.Protocol{},
		Crash: func(t testing.TB, s protocol.Store, id string) {
			if err := mem.Crash(s.Route(), id); err != nil {
				t.Error(err)
			}
		},
	})
}
