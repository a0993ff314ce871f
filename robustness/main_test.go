package robustness

import (
	"fmt"
	"os"
	"testing"

	_ "github.com/ipcmgr/ipcmgr/protocol/all"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
)

// roleEnv names the role that this test binary plays when a test has started
// it again. Each file adds its roles in an init.
const roleEnv = "IPCMGR_ROBUSTNESS_ROLE"

var roles = map[string]func() error{}

func TestMain(m *testing.M) {
	name := os.Getenv(roleEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	play, ok := roles[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no such role: %q\n", name)
		os.Exit(2)
	}
	if err := play(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}
