//go:build unix

package ipctest_test

import (
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/ipctest"
)

const hangingEnv = "IPCTEST_TEST_HANGING"

// A test binary that panics at its timeout, or is killed, leaves no process.
func TestNoProcessIsLeft(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for how, args := range map[string][]string{"killed": {}, "timeout": {"-test.timeout=2s"}} {
		t.Run(how, func(t *testing.T) {
			// The pipe ends when the last process has that inherited it.
			r, w, err := os.Pipe()
			require.NoError(t, err)
			defer r.Close()
			cmd := exec.CommandContext(ipctest.Context(t), self, append([]string{"-test.run=^TestHanging$"}, args...)...)
			cmd.Env = append(os.Environ(), hangingEnv+"=1")
			cmd.ExtraFiles = []*os.File{w}
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			require.NoError(t, w.Close())
			_, err = io.ReadFull(out, make([]byte, len("hanging\n"))) // its workers are there
			require.NoError(t, err)
			if how == "killed" {
				require.NoError(t, cmd.Process.Kill())
			}
			text, _ := io.ReadAll(out)
			require.Error(t, cmd.Wait())
			if how == "timeout" {
				require.Contains(t, string(text), "panic: test timed out")
			}
			require.NoError(t, r.SetReadDeadline(time.Now().Add(time.Minute)))
			_, err = io.Copy(io.Discard, r)
			require.NoError(t, err, "a process is left")
		})
	}
}

// TestHanging is what TestNoProcessIsLeft runs in another process: it does not
// use the context that would end it in time.
func TestHanging(t *testing.T) {
	if os.Getenv(hangingEnv) == "" {
		return
	}
	st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"fsqueue"}})
	keeper.Start(t, st, "a", "b")
	me := ipctest.Connect(t, st, "test")
	os.Stdout.WriteString("hanging\n")
	me.Receive(t.Context())
}

const waitingEnv = "IPCTEST_TEST_WAITING"

// A test that waits in vain fails before the timeout of the test binary, so
// that the reason is told and nothing is left.
func TestFailsBeforeTheTimeout(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(ipctest.Context(t), self, "-test.run=^TestWaiting$", "-test.timeout=8s")
	cmd.Env = append(os.Environ(), waitingEnv+"=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), `"test" expected from "a"`)
	require.Contains(t, string(out), "the -timeout of the test binary is near")
	require.NotContains(t, string(out), "panic")
}

// TestWaiting is what TestFailsBeforeTheTimeout runs.
func TestWaiting(t *testing.T) {
	if os.Getenv(waitingEnv) == "" {
		return
	}
	st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"fsqueue"}})
	echo.Start(t, st, "a")
	ipctest.Expect(t, ipctest.Connect(t, st, "test"), "a", "never")
}
