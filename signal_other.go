//go:build !unix

package ipcmgr

import (
	"fmt"
	"os"
	"strings"
)

// signalNamed finds a signal by its name, with or without SIG. Where there are
// no signals only the one that Go knows everywhere and that can be handled has a
// name.
func signalNamed(name string) (os.Signal, error) {
	if strings.TrimPrefix(strings.ToUpper(name), "SIG") == "INT" {
		return os.Interrupt, nil
	}
	return nil, fmt.Errorf("unknown signal %q: known is INT", name)
}
