//go:build unix

package ipcmgr

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// signalNamed finds a signal by its name, with or without SIG: one that a
// process can handle, for it is a request.
func signalNamed(name string) (os.Signal, error) {
	full := strings.ToUpper(name)
	if !strings.HasPrefix(full, "SIG") {
		full = "SIG" + full
	}
	switch s := unix.SignalNum(full); s {
	case unix.SIGKILL, unix.SIGSTOP:
		return nil, fmt.Errorf("signal %q: no process can handle it: use TERM, or another one", name)
	case 0:
	default:
		return s, nil
	}
	return nil, fmt.Errorf("unknown signal %q: known are HUP, INT, QUIT, USR1, USR2, TERM and the system's others", name)
}
