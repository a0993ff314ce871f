// Package examples holds the tests of the programs below it.
package examples

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/trial"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
)

// limit bounds what would otherwise hang for ever.
const limit = time.Minute

// bin is where the programs are built.
var bin string

func TestMain(m *testing.M) {
	status, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(status)
}

func buildAndRun(m *testing.M) (status int, err error) {
	// Where Go itself puts what is to run: that for other files may not allow it.
	if bin, err = os.MkdirTemp(os.Getenv("GOTMPDIR"), "examples"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(bin)
	build := exec.Command("go", "build", "-tags", tags(), "-o", bin+string(filepath.Separator), "./...")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build of the examples: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// tags are those of this test: the programs share its stores, and so must have
// the same variants for the system.
func tags() string {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			return s.Value
		}
	}
	return ""
}

// each runs a test with every protocol that reaches other processes and every
// serializer, in a place of its own in which nothing may be left.
func each(t *testing.T, f func(t *testing.T, cfg ipcmgr.Config)) {
	for _, protocol := range trial.Viable("fsqueue", "unixsocket", "bbolt", "shm") {
		for _, serializer := range []string{"json", "msgpack"} {
			t.Run(protocol+"+"+serializer, func(t *testing.T) {
				place, err := os.MkdirTemp("", "run") // short, for unixsocket
				require.NoError(t, err)
				t.Cleanup(func() {
					left, _ := filepath.Glob(filepath.Join(place, "ipcmgr", "*"))
					require.Empty(t, left, "left behind")
					require.NoError(t, os.RemoveAll(place))
				})
				t.Setenv("XDG_RUNTIME_DIR", place)
				t.Setenv(ipcmgr.EnvProtocol, protocol)
				t.Setenv(ipcmgr.EnvSerializer, serializer)
				f(t, ipcmgr.Config{Protocol: ipcmgr.Names{protocol}, Serializer: serializer})
			})
		}
	}
}

// run runs a program to its end and returns what it printed.
func run(t *testing.T, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	require.Empty(t, trial.WithoutNotices(stderr.String()))
	return string(out)
}

func TestParentAndChild(t *testing.T) {
	each(t, func(t *testing.T, _ ipcmgr.Config) {
		require.Equal(t, "1 doubled is 2\n2 doubled is 4\n3 doubled is 6\n", run(t, "parent"))
	})
}

const swapped = "tea at 2.50 with 2 bytes of photo\ncake at 3.75 with 6 bytes of photo\n"

func TestSwapByEnvironment(t *testing.T) {
	each(t, func(t *testing.T, _ ipcmgr.Config) {
		require.Equal(t, swapped, run(t, "swap"))
	})
}

func TestSwapByFile(t *testing.T) {
	each(t, func(t *testing.T, cfg ipcmgr.Config) {
		t.Setenv(ipcmgr.EnvProtocol, "")
		t.Setenv(ipcmgr.EnvSerializer, "")
		file := filepath.Join(t.TempDir(), "store.json")
		text := `{"protocol": ["` + cfg.Protocol[0] + `"], "serializer": "` + cfg.Serializer + `"}`
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		require.Equal(t, swapped, run(t, "swap", file))
	})
}
