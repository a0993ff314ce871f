package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
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
	const jobs = 120
	var want strings.Builder
	for n := range jobs {
		fmt.Fprintf(&want, "%d primes below %d\n", primesBelow(below(n)), below(n))
	}
	for _, protocol := range trial.Viable("fsqueue", "unixsocket", "bbolt", "shm") {
		for _, kills := range []string{"0", "12"} {
			t.Run(protocol+" "+kills, func(t *testing.T) {
				place, err := os.MkdirTemp("", "pool") // short, for unixsocket
				require.NoError(t, err)
				defer os.RemoveAll(place)
				self, err := os.Executable()
				require.NoError(t, err)
				cmd := exec.CommandContext(t.Context(), self, "-jobs", fmt.Sprint(jobs), "-kill", kills)
				cmd.Env = append(os.Environ(), programEnv+"=1", "GORACE=atexit_sleep_ms=0",
					"XDG_RUNTIME_DIR="+place, ipcmgr.EnvProtocol+"="+protocol)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				require.NoError(t, err, stderr.String())
				require.Equal(t, want.String(), string(out))
				require.Empty(t, trial.WithoutNotices(stderr.String()))
				left, err := os.ReadDir(place + "/ipcmgr")
				require.NoError(t, err)
				require.Empty(t, left)
			})
		}
	}
}

func TestPrimes(t *testing.T) {
	for limit, want := range map[int]int{0: 0, 2: 0, 3: 1, 10: 4, 100: 25, 1000: 168} {
		require.Equal(t, want, primesBelow(limit))
	}
}
