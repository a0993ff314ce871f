//go:build unix

package main

import (
	"bufio"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/trial"
)

// spawn gives its signals to the program that it runs, and ends as that does.
func TestSpawnForwardsSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1} {
		t.Run(sig.String(), func(t *testing.T) {
			c := exec.Command("ipcmgr", "spawn", "--", "sh", "-c", `trap 'exit 33' INT TERM HUP USR1; echo ready; while :; do read line; done`)
			c.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+trial.Place(t, ""))
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal does it instead
			stdin, err := c.StdinPipe()
			require.NoError(t, err)
			defer stdin.Close()
			out, err := c.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, c.Start())
			hung := time.AfterFunc(time.Minute, func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
			defer hung.Stop()
			_, err = bufio.NewReader(out).ReadString('\n')
			require.NoError(t, err)
			require.NoError(t, c.Process.Signal(sig))
			_ = c.Wait()
			require.Equal(t, 33, c.ProcessState.ExitCode())
		})
	}
}
