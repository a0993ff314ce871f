//go:build unix

package ipcmgr

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// signalNamed finds a signal by its name, with or without SIG.
func signalNamed(name string) (os.Signal, error) {
	full := strings.ToUpper(name)
	if !strings.HasPrefix(full, "SIG") {
		full = "SIG" + full
	}
	if s := unix.SignalNum(full); s != 0 {
		return s, nil
	}
	return nil, fmt.Errorf("unknown signal %q: known are HUP, INT, QUIT, USR1, USR2, TERM and the system's others", name)
}
