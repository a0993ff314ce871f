package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/trial"
)

// The test binary is the program, if it is asked for or is a worker of it.
const programEnv = "POOL_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Each result comes once and in order, however many workers are killed.
func TestPool(t *testing.T) {
	for _, protocol := range trial.Viable("fsqueue", "unixsocket", "bbolt", "shm") {
		for _, kills := range []string{"0", "12"} {
			t.Run(protocol+" "+kills, func(t *testing.T) {
				newProgram(t, protocol, 120, "-kill", kills).mustEnd()
			})
		}
	}
}

// It does not matter who kills them.
func TestPoolKilledFromOutside(t *testing.T) {
	for _, protocol := range trial.Viable("fsqueue", "unixsocket", "bbolt", "shm") {
		t.Run(protocol, func(t *testing.T) {
			p := newProgram(t, protocol, 300)
			ended, end := context.WithCancel(t.Context())
			defer end()
			var killing sync.WaitGroup
			killing.Go(func() { p.killWorkers(ended, 20) })
			p.mustEnd()
			end()
			killing.Wait()
		})
	}
}

func TestPoolOfNothing(t *testing.T) {
	newProgram(t, "fsqueue", 0).mustEnd()
	for _, arg := range []string{"-workers=0", "-jobs=-1", "-kill=-1"} {
		p := newProgram(t, "fsqueue", 1, arg)
		require.Error(t, p.cmd.Run())
		require.Equal(t, 2, p.cmd.ProcessState.ExitCode())
		require.Equal(t, "pool: -jobs and -kill must not be negative, and -workers must be at least 1\n", p.stderr.String())
	}
}

// program is a run of the program, with a place of its own.
type program struct {
	t              *testing.T
	cmd            *exec.Cmd
	protocol       string
	place          string
	jobs           int
	stdout, stderr bytes.Buffer
}

func newProgram(t *testing.T, protocol string, jobs int, args ...string) *program {
	p := &program{t: t, protocol: protocol, jobs: jobs, place: trial.Place(t, protocol)}
	self, err := os.Executable()
	require.NoError(t, err)
	p.cmd = exec.CommandContext(t.Context(), self, append([]string{"-jobs", fmt.Sprint(jobs)}, args...)...)
	p.cmd.Env = append(os.Environ(), programEnv+"=1", "GORACE=atexit_sleep_ms=0",
		"XDG_RUNTIME_DIR="+p.place, ipcmgr.EnvProtocol+"="+protocol)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	return p
}

// mustEnd runs the program, which must end well and leave nothing behind.
func (p *program) mustEnd() {
	var want strings.Builder
	for n := range p.jobs {
		fmt.Fprintf(&want, "%d primes below %d\n", primesBelow(below(n)), below(n))
	}
	require.NoError(p.t, p.cmd.Run(), &p.stderr)
	require.Equal(p.t, want.String(), p.stdout.String())
	require.Empty(p.t, trial.WithoutNotices(p.stderr.String()))
	left, err := os.ReadDir(filepath.Join(p.place, "ipcmgr"))
	require.NoError(p.t, err)
	require.Empty(p.t, left)
}

// killWorkers kills so many, unless ctx ends before.
func (p *program) killWorkers(ctx context.Context, n int) {
	st := p.store(ctx)
	if st == nil {
		return
	}
	defer st.Close()
	killed := map[int]bool{}
	for len(killed) < n && st.WaitPeer(ctx, "worker2") == nil {
		if peer, err := st.Peer(ctx, "worker2"); err == nil && !killed[peer.PID] {
			kill(ctx, st, "worker2")
			killed[peer.PID] = true
		}
	}
}

// store opens the program's store as soon as it is there.
func (p *program) store(ctx context.Context) *ipcmgr.Store {
	for ; ctx.Err() == nil; runtime.Gosched() {
		routes, _ := filepath.Glob(filepath.Join(p.place, "ipcmgr", "*"))
		for _, route := range routes {
			info := ipcmgr.Info{Protocol: p.protocol, Serializer: "json", Route: route}
			if st, err := ipcmgr.Open(ctx, info.String()); err == nil {
				return st
			}
		}
	}
	return nil
}

func TestPrimes(t *testing.T) {
	for limit, want := range map[int]int{0: 0, 2: 0, 3: 1, 10: 4, 100: 25, 1000: 168} {
		require.Equal(t, want, primesBelow(limit))
	}
}
