//go:build unix

package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// sentry is a shell in a child's process group that kills the group when this
// process has ended, for a child that may know nothing of its parent. It has no
// number that could become another's: the group is its own.
type sentry struct {
	cmd  *exec.Cmd
	pipe *os.File // closed by the kernel when this process ends
}

// watchfully waits for the end of its input, deaf to what the group is told,
// and gives the group as long to end by itself as a child has that follows.
const watchfully = `trap '' HUP INT QUIT TERM USR1 USR2 ALRM TSTP TTIN TTOU
read -r nothing
sleep "$1"
kill -s KILL 0`

// startSentry gives a child that was started its sentry. There is none for a
// function of this program, which follows; in a session of its own, whose
// groups nobody else can join; and on a system without a shell.
func startSentry(child *exec.Cmd) (*sentry, error) {
	if runsFunc(child) || child.SysProcAttr.Setsid {
		return nil, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", watchfully, "ipcmgr-sentry", fmt.Sprint(orphanedFor.Seconds()))
	cmd.Dir, cmd.Stdin = "/", r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: child.Process.Pid}
	if err = cmd.Start(); err == nil {
		return &sentry{cmd, w}, nil
	}
	err = errors.Join(err, w.Close())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return nil, fmt.Errorf("its sentry: %w", err)
}

// runsFunc says whether cmd is one of Func.Cmd's.
func runsFunc(cmd *exec.Cmd) bool {
	self, err := os.Executable()
	return err == nil && cmd.Path == self &&
		slices.ContainsFunc(cmd.Env, func(pair string) bool { return strings.HasPrefix(pair, envFunc+"=") })
}

// dismiss is called when the group was killed, and the sentry with it.
func (s *sentry) dismiss() {
	if s != nil {
		_ = s.cmd.Wait() // it was killed
		_ = s.pipe.Close()
	}
}
