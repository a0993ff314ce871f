//go:build !linux || ipcmgr_fallback

package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

func watch(id ID) (*Exit, error) { return watchByTimer(id) }

// Signal sends sig to the process. The error matches os.ErrProcessDone when it
// has ended. Between the look at its start time and the signal there is an
// instant in which a stranger could take its pid: this system has no better.
func Signal(id ID, sig os.Signal) error {
	s, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("process %d: signal %v: %w", id.PID, sig, errors.ErrUnsupported)
	}
	return signalByPID(id, s)
}
