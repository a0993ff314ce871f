package trial

import (
	"os"
	"slices"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Viable gives those of the protocols, which are registered, that work on this
// system.
func Viable(names ...string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		p, err := protocol.Get(name)
		return err == nil && p.Viable() != nil
	})
}

// Parent is a directory for temporary ones that are fit for stores of the
// protocol.
func Parent(name string) string {
	if name == "shm" {
		return "/dev/shm"
	}
	return os.TempDir()
}

// Place makes a directory in which a store of the protocol can be, with a path
// that leaves room for a socket's name. It is removed after the test.
func Place(t testing.TB, name string) string {
	dir, err := os.MkdirTemp(Parent(name), "ipc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
