//go:build !unix

package ipcmgr

import (
	"fmt"
	"os"
	"strings"
)

// signalNamed finds a signal by its name, with or without SIG. Where there are
// no signals only the two that Go knows everywhere have a name.
func signalNamed(name string) (os.Signal, error) {
	switch strings.TrimPrefix(strings.ToUpper(name), "SIG") {
	case "INT":
		return os.Interrupt, nil
	case "KILL":
		return os.Kill, nil
	}
	return nil, fmt.Errorf("unknown signal %q: known are INT and KILL", name)
}
