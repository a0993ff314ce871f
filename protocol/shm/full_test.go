//go:build linux && !ipcmgr_fallback

package shm

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
)

func init() {
	roles["fill"] = func(args []string) error { return fill(args[0]) }
}

// fill lives where there is little memory.
func fill(dir string) error {
	if err := trial.MountSmallDisk(dir, 2<<20); err != nil {
		return err
	}
	ctx := context.Background()
	st, err := Protocol{}.Spawn(ctx, filepath.Join(dir, "route"), protocol.Settings{MaxFrame: 1 << 20, MaxPending: 1 << 20, MaxBytes: 1 << 30})
	if err != nil {
		return err
	}
	if err := trial.Fill(ctx, st, dir, os.Stdout); err != nil {
		return err
	}
	return st.Unspawn(ctx)
}

// A file system that is full is an error, and never a fault.
func TestFullMemory(t *testing.T) {
	cmd := exec.Command(os.Args[0], trial.Place(t, Name))
	cmd.Env = append(os.Environ(), roleVar+"=fill")
	trial.OnSmallDisk(cmd)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	t.Logf("%s", out)
}
