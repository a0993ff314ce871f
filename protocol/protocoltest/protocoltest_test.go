package protocoltest_test

import (
	"net"

	"path/filepath"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/mem"
	"github.com/ipcmgr/ipcmgr/protocol/protocoltest"
)

func TestMain(m *testing.M) {
	protocol.Register(relay{mem.Protocol{}})
	protocoltest.Main(m)
}

// TestSuite runs the suite with real processes over a protocol that is right as
// far as mem is.
func TestSuite(t *testing.T) {
	serve(t)
	protocoltest.Run(t, protocoltest.Harness{Protocol: relay{mem.Protocol{}}, Processes: true})
}

// serve runs the server of relays until the test is over.
func serve(t *testing.T) {
	path := filepath.Join(t.TempDir(), "relay")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv(relayVar, path)
	sv := &server{users: map[string]int{}, pids: map[string]map[string]int{}, keep: map[string]protocol.Store{}}
	go sv.serve(l)
}
