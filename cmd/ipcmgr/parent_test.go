//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
)

// parent is a program that starts another as its child, and hangs: "parent ID
// CMD ARG...".
func parent() {
	if err := launch(os.Args[1], exec.Command(os.Args[2], os.Args[3:]...)); err != nil {
		fmt.Fprintln(os.Stderr, "parent:", err)
		os.Exit(1)
	}
	select {}
}

func launch(id string, cmd *exec.Cmd) error {
	st, err := ipcmgr.Open(context.Background(), os.Getenv(ipcmgr.EnvStore))
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = os.Environ()
	_, err = proc.Launch(context.Background(), st, id, cmd)
	return err
}

// orphan has a parent start a program, kills it when the program has written
// its first line, and waits until nothing of it is left.
func (sh *shell) orphan(written func(out *bufio.Reader), args ...string) {
	t := sh.t
	alive, held, err := os.Pipe() // inherited by all that the program starts
	require.NoError(t, err)
	defer alive.Close()
	c := exec.Command("parent", append([]string{"kid"}, args...)...)
	c.Env, c.Stderr = sh.env, os.Stderr
	c.ExtraFiles = append(make([]*os.File, 7), held) // behind those that package proc needs
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	require.NoError(t, held.Close())
	hung := time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() })
	defer hung.Stop()
	written(bufio.NewReader(out))
	require.NoError(t, c.Process.Kill())
	require.Error(t, c.Wait())
	require.NoError(t, alive.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = io.Copy(io.Discard, alive)
	require.NoError(t, err, "a process is left")
}

// inTime tries again what can come too late, for an orphan has five seconds: one
// that was stopped for so long was killed. found is what it left, if anything.
func inTime(t *testing.T, try func() (found string)) {
	found := try()
	for tries := 1; found != "" && tries < 5; tries++ {
		found = try()
	}
	require.Empty(t, found)
}

var suspended = regexp.MustCompile(`kid +suspended`)

// A command whose parent is killed leaves as at a signal, and takes with it what
// stands around it.
func TestRecvEndsWithItsParent(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for name, args := range map[string][]string{
			"direct":     {"ipcmgr", "recv", "--as", "kid"},
			"in a shell": {"sh", "-c", "ipcmgr recv --as kid; sleep 1000"},
		} {
			t.Run(name, func(t *testing.T) {
				inTime(t, func() string {
					sh := newShell(t, k)
					sh.orphan(func(out *bufio.Reader) {
						sh.run("", "send", "--wait", "1m", "kid", "1")
						require.JSONEq(t, "1", string(readJSON[printed](t, out).Content))
					}, args...)
					peers := sh.run("", "peers")
					if k.keeps() && suspended.MatchString(peers) || !k.keeps() && !strings.Contains(peers, "kid") {
						return ""
					}
					return peers
				})
			})
		}
	})
}

// The store of a spawn whose parent is killed goes with it, and the program
// that it runs.
func TestSpawnEndsWithItsParent(t *testing.T) {
	for name, args := range map[string][]string{
		"alone":          {"ipcmgr", "spawn"},
		"with a program": {"ipcmgr", "spawn", "--", "sh", "-c", "echo ready; sleep 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func() string {
				sh := newShell(t, kinds[0])
				place := t.TempDir()
				sh.env = append(sh.env, "XDG_RUNTIME_DIR="+place)
				sh.orphan(func(out *bufio.Reader) {
					_, err := out.ReadString('\n')
					require.NoError(t, err)
					made, err := os.ReadDir(filepath.Join(place, "ipcmgr"))
					require.NoError(t, err)
					require.Len(t, made, 1)
				}, args...)
				left, err := os.ReadDir(filepath.Join(place, "ipcmgr"))
				require.NoError(t, err)
				var names []string
				for _, entry := range left {
					names = append(names, entry.Name())
				}
				return strings.Join(names, " ")
			})
		})
	}
}
