//go:build unix

package ipctest_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/ipctest"
)

const hangingEnv = "IPCTEST_TEST_HANGING"

// keeper stays until the test binary ends. It must have the pipe, or its end
// would prove nothing.
var keeper = ipctest.Register("keeper", func(ctx context.Context, c ipcmgr.Client) error {
	var info syscall.Stat_t
	if err := syscall.Fstat(4, &info); err != nil {
		return err
	}
	if err := c.Send(ctx, "test", info.Mode&syscall.S_IFMT == syscall.S_IFIFO); err != nil {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
})

// A test binary that is killed, or panics as it does at its timeout, leaves no
// process.
func TestNoProcessIsLeft(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for _, how := range []string{"killed", "timeout"} {
		t.Run(how, func(t *testing.T) {
			// The pipe ends when the last process has that inherited it.
			r, w, err := os.Pipe()
			require.NoError(t, err)
			defer r.Close()
			cmd := exec.CommandContext(ipctest.Context(t), self, "-test.run=^TestHanging$")
			cmd.Env = append(os.Environ(), hangingEnv+"=1")
			cmd.ExtraFiles = []*os.File{w, w} // a worker has something else in the place of the first
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			require.NoError(t, cmd.Start())
			require.NoError(t, w.Close())
			_, err = io.ReadFull(out, make([]byte, len("hanging\n"))) // its workers are there
			require.NoError(t, err)
			if how == "killed" {
				require.NoError(t, cmd.Process.Kill())
			} else {
				require.NoError(t, stdin.Close())
			}
			require.Error(t, cmd.Wait())
			if how == "timeout" {
				require.Contains(t, stderr.String(), "panic: time is over")
			}
			require.NoError(t, r.SetReadDeadline(time.Now().Add(time.Minute)))
			_, err = io.Copy(io.Discard, r)
			require.NoError(t, err, "a process is left")
		})
	}
}

// TestHanging is what TestNoProcessIsLeft runs in another process, until that
// says that its time is over: it does not use the context that would end it.
func TestHanging(t *testing.T) {
	if os.Getenv(hangingEnv) == "" {
		return
	}
	st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"fsqueue"}})
	me := ipctest.Connect(t, st, "test")
	keeper.Start(t, st, "a", "b")
	ipctest.ExpectAnyOrder(t, me, ipctest.From("a", true), ipctest.From("b", true))
	os.Stdout.WriteString("hanging\n")
	go func() { // not the test's goroutine, as when the timeout has passed
		io.Copy(io.Discard, os.Stdin)
		panic("time is over")
	}()
	me.Receive(t.Context())
}
