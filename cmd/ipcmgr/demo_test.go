//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/process"
	"github.com/ipcmgr/ipcmgr/internal/trial"
)

// show is a demo in a process group of its own, over a tree in which a worker
// is held at one file.
type show struct {
	t              *testing.T
	cmd            *exec.Cmd
	run, gate      string
	stdout, stderr bytes.Buffer
	held           int // pid of the worker
}

const showFiles = 41 // with the one that holds

// raise starts a demo and returns when a worker is held.
func raise(t *testing.T, k kind, workers int) *show {
	s := &show{t: t, run: filepath.Join(trial.Place(t, k.protocol), "run")}
	tree := filepath.Join(filepath.Dir(s.run), "tree")
	require.NoError(t, os.Mkdir(s.run, 0o700))
	require.NoError(t, os.Mkdir(tree, 0o700))
	for n := range showFiles - 1 {
		require.NoError(t, os.WriteFile(filepath.Join(tree, fmt.Sprintf("file%02d", n)), []byte{byte(n)}, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(tree, "held"), nil, 0o600))
	s.gate = filepath.Join(tree, "gate")
	require.NoError(t, unix.Mkfifo(s.gate, 0o600))

	s.cmd = exec.Command("ipcmgr", "demo", "--protocol", k.protocol, "--serializer", k.serializer, "--workers", strconv.Itoa(workers), "--sum", tree)
	s.cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+s.run)
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, s.cmd.Start())
	hung := time.AfterFunc(time.Minute, func() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	t.Cleanup(func() { hung.Stop() })
	gate, err := os.Open(s.gate)
	require.NoError(t, err)
	line, err := bufio.NewReader(gate).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, gate.Close())
	s.held, err = strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	return s
}

// end waits for the demo and for everyone who writes to its outputs.
func (s *show) end() int {
	_ = s.cmd.Wait() // the status says it
	return s.cmd.ProcessState.ExitCode()
}

// complaints are the lines of the command itself. Others may come on a busy
// machine: of a protocol that has run out of watches and falls back to polling.
func (s *show) complaints() (lines []string) {
	for line := range strings.Lines(s.stderr.String()) {
		if strings.HasPrefix(line, "ipcmgr: ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// leavesNothing checks that no process and no store is left.
func (s *show) leavesNothing() {
	require.ErrorIs(s.t, syscall.Kill(-s.cmd.Process.Pid, 0), syscall.ESRCH, "processes are left")
	s.leavesNoStore()
}

func (s *show) leavesNoStore() {
	var left []string
	require.NoError(s.t, filepath.WalkDir(s.run, func(path string, e os.DirEntry, err error) error {
		left = append(left, fmt.Sprint(e))
		return err
	}))
	require.Equal(s.t, []string{"d run/", "d ipcmgr/"}, left, "stores are left")
}

func eachKind(t *testing.T, f func(t *testing.T, k kind)) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) { f(t, k) })
	}
}

// The others finish the files of a worker that is killed, and the user is told
// who it was.
func TestDemoKilledWorker(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := raise(t, k, 3)
		require.NoError(t, os.Remove(s.gate))
		require.NoError(t, syscall.Kill(s.held, syscall.SIGKILL))
		require.Equal(t, 0, s.end(), "%s", &s.stderr)
		require.Equal(t, showFiles, strings.Count(s.stdout.String(), "\n"))
		require.Regexp(t, fmt.Sprintf(`(?m)^ipcmgr: worker w\d \(pid %d\) died \(signal: killed\): giving \d+ files? to the 2 workers left$`, s.held), s.stderr.String())
		require.Regexp(t, fmt.Sprintf(`(?m)^w\d +%d .* died$`, s.held), s.stderr.String())
		s.leavesNothing()
	})
}

func TestDemoAllWorkersKilled(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := raise(t, k, 1)
		require.NoError(t, syscall.Kill(s.held, syscall.SIGKILL))
		require.Equal(t, 1, s.end())
		require.Contains(t, s.stderr.String(), "ipcmgr: demo: all workers have died, and ")
		require.Empty(t, s.stdout.String())
		s.leavesNothing()
	})
}

// A terminal sends ^C to all processes at once.
func TestDemoInterrupted(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		eachKind(t, func(t *testing.T, k kind) {
			s := raise(t, k, 2)
			to := -s.cmd.Process.Pid
			if sig == syscall.SIGTERM {
				to = -to // the parent alone
			}
			require.NoError(t, syscall.Kill(to, sig))
			require.Equal(t, 1, s.end())
			require.Equal(t, []string{"ipcmgr: interrupted"}, s.complaints())
			s.leavesNothing()
		})
	}
}

// A worker ends with a parent that could not tell it, and what is left of the
// store is collected.
func TestDemoParentKilled(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := raise(t, k, 1)
		worker, err := process.Watch(process.ID{PID: s.held})
		require.NoError(t, err)
		defer worker.Close()
		require.NoError(t, s.cmd.Process.Kill())
		s.end() // waits for the worker, too, which has its standard error
		require.Empty(t, s.complaints())
		<-worker.Done() // with all that it held
		gc := exec.Command("ipcmgr", "gc")
		gc.Env = s.cmd.Env
		out, err := gc.CombinedOutput()
		require.NoError(t, err)
		require.Contains(t, string(out), s.run)
		s.leavesNoStore()
	})
}
