package shm

import (
	"fmt"
	"os"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol/protocoltest"
)

// roleVar names, in a process that a test has started, what it is to do.
const roleVar = "IPCMGR_SHM_ROLE"

// roles are what a test binary that is started again can do.
var roles = map[string]func(args []string) error{}

func TestMain(m *testing.M) {
	role := os.Getenv(roleVar)
	if role == "" {
		protocoltest.Main(m)
	}
	if err := roles[role](os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
}
