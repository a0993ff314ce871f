package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// signalByPID sends sig to what runs under the pid, after a look at whether
// that is the process meant.
func signalByPID(id ID, sig syscall.Signal) error {
	if !Alive(id) {
		return done(id)
	}
	p, err := os.FindProcess(id.PID)
	if err != nil {
		return done(id)
	}
	defer p.Release()
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d: %w", id.PID, err)
	} else if err != nil {
		return done(id)
	}
	return nil
}
