//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/trial"
)

// shell runs the command as a user would who sits before one store.
type shell struct {
	t   *testing.T
	env []string
}

// newShell makes a store that stays until the test is over.
func newShell(t *testing.T, k kind) *shell {
	dir := trial.Place(t, k.protocol)
	sh := &shell{t: t, env: append(os.Environ(), "XDG_RUNTIME_DIR="+dir)}
	info := sh.run("", "spawn", "--protocol", k.protocol, "--serializer", k.serializer, "--route", filepath.Join(dir, "st"), "--detach")
	sh.env = append(sh.env, "IPCMGR_STORE="+strings.TrimSpace(info))
	return sh
}

// run runs one command to its end, which must be a good one.
func (sh *shell) run(stdin string, args ...string) string {
	c := exec.Command("ipcmgr", args...)
	c.Env, c.Stdin = sh.env, strings.NewReader(stdin)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	require.NoError(sh.t, err, "ipcmgr %v: %s", args, &stderr)
	return string(out)
}

// start starts a command whose output is read while it runs. It is killed if
// it hangs, which shows as an end of its output.
func (sh *shell) start(args ...string) (*exec.Cmd, *bufio.Reader) {
	c := exec.Command("ipcmgr", args...)
	c.Env, c.Stderr = sh.env, os.Stderr
	out, err := c.StdoutPipe()
	require.NoError(sh.t, err)
	require.NoError(sh.t, c.Start())
	hung := time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() })
	sh.t.Cleanup(func() { hung.Stop(); _ = c.Process.Kill() })
	return c, bufio.NewReader(out)
}

func readJSON[T any](t *testing.T, r *bufio.Reader) (v T) {
	line, err := r.ReadBytes('\n')
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(line, &v), "%s", line)
	return v
}

// One who watches sees a client come, crash and go, and then the store.
func TestPeersWatch(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		sh := newShell(t, k)
		watch, seenByWatch := sh.start("peers", "--watch", "--json")
		until := func(id, state string, pid int) {
			for {
				p := readJSON[seen](t, seenByWatch)
				if p.ID == id && p.State == state && p.PID == pid {
					return
				}
			}
		}
		bob, _ := sh.start("recv", "--as", "bob")
		until("bob", "active", bob.Process.Pid)
		require.NoError(t, bob.Process.Kill())
		_ = bob.Wait()
		until("bob", "crashed", bob.Process.Pid)
		bob, out := sh.start("recv", "--as", "bob", "--disconnect")
		until("bob", "active", bob.Process.Pid)
		sh.run("", "send", "bob", "1")
		readJSON[printed](t, out) // it is past connecting
		require.NoError(t, bob.Process.Signal(syscall.SIGTERM))
		require.NoError(t, bob.Wait())
		until("bob", "gone", bob.Process.Pid)
		sh.run("", "rm", "--force")
		_, err := seenByWatch.ReadByte()
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, watch.Wait())
	})
}

// What recv had not printed in full when it was killed comes again, marked;
// and before it perhaps what it had printed, but not acknowledged yet.
func TestRecvKilled(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		if !k.keeps() {
			return // what is lost with the process is the protocol's nature
		}
		sh := newShell(t, k)
		sh.run("", "recv", "--as", "bob", "-n", "0")
		large := `"` + strings.Repeat("x", 300<<10) + `"` // more than a pipe holds
		sh.run("1\n"+large+"\n3\n", "send", "--as", "alice", "bob", "-")
		recv, out := sh.start("recv", "--as", "bob")
		require.JSONEq(t, "1", string(readJSON[printed](t, out).Content))
		_, err := out.Peek(1) // it is at the large one
		require.NoError(t, err)
		require.NoError(t, recv.Process.Kill())
		_ = recv.Wait()

		recv, out = sh.start("recv", "--as", "bob", "--timeout", "1m")
		p := readJSON[printed](t, out)
		if string(p.Content) == "1" {
			require.True(t, p.Redelivered)
			p = readJSON[printed](t, out)
		}
		require.Equal(t, large, string(p.Content))
		require.True(t, p.Redelivered)
		require.Equal(t, "3", string(readJSON[printed](t, out).Content))
		require.NoError(t, recv.Process.Signal(os.Interrupt))
		require.NoError(t, recv.Wait())
	})
}

// A message that nobody reads from the pipe is not lost: recv fails, and the
// next one has it.
func TestRecvPipeClosed(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		if !k.keeps() {
			return // as above
		}
		sh := newShell(t, k)
		sh.run("", "recv", "--as", "bob", "-n", "0")
		sh.run("", "send", "bob", `"kept"`)
		r, w, err := os.Pipe()
		require.NoError(t, err)
		require.NoError(t, r.Close())
		recv := exec.Command("ipcmgr", "recv", "--as", "bob", "-n", "1")
		var stderr strings.Builder
		recv.Env, recv.Stdout, recv.Stderr = sh.env, w, &stderr
		require.Error(t, recv.Run())
		require.NoError(t, w.Close())
		require.Equal(t, 1, recv.ProcessState.ExitCode())
		require.Regexp(t, `(?m)^ipcmgr: print message .*: broken pipe$`, stderr.String())
		require.Contains(t, sh.run("", "peers"), "suspended")
		require.Contains(t, sh.run("", "recv", "--as", "bob", "-n", "1"), `"kept"`)
	})
}
