//go:build unix

package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// ownGroup makes cmd the first of a process group.
func ownGroup(cmd *exec.Cmd) {
	var attr syscall.SysProcAttr
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr
	}
	if !attr.Setsid { // a session of its own has a group of its own
		attr.Setpgid, attr.Pgid = true, 0
	}
	cmd.SysProcAttr = &attr
}

// signalGroup sends sig to the group whose first was p, which must not have
// been waited for.
func signalGroup(p *os.Process, sig os.Signal) error {
	s, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("signal %v: %w", sig, errors.ErrUnsupported)
	}
	err := syscall.Kill(-p.Pid, s)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// isInGroup says whether the process under pid is in the group whose first was
// under leader, also when what was between them has ended.
func isInGroup(pid, leader int) bool {
	group, err := syscall.Getpgid(pid)
	return err == nil && group == leader
}

// killOwnGroup ends this process and what is left of its group.
func killOwnGroup() { _ = syscall.Kill(0, syscall.SIGKILL) }

// surviveBrokenPipes keeps a child whose parent read its output, and is gone,
// from dying of the next line it writes, on its way to leave in order.
func surviveBrokenPipes() { signal.Ignore(syscall.SIGPIPE) }
