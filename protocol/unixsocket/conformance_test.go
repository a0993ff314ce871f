//go:build unix

package unixsocket

import (
	"os"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol/protocoltest"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childVar); role != "" {
		child(role)
		return
	}
	protocoltest.Main(m)
}

func TestConformance(t *testing.T) {
	protocoltest.Run(t, protocoltest.Harness{
		Protocol:  Protocol{},
		Processes: true,
		Route:     shortRoute,
	})
}

// shortRoute gives a directory to spawn in: those of the testing package are too
// long for the address of a socket.
func shortRoute(t testing.TB) string {
	dir, err := os.MkdirTemp("/tmp", "ipc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir + "/r"
}
