//go:build linux && !ipcmgr_fallback

package shm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// A store is in memory or nowhere.
func TestRouteOnDisk(t *testing.T) {
	_, err := Protocol{}.Spawn(within(t), "/proc/ipcmgr", protocol.Settings{})
	require.ErrorContains(t, err, "/proc is not on tmpfs: choose a route that is, as /dev/shm mostly is")
	_, err = Protocol{}.Spawn(within(t), "/proc/none/none/none", protocol.Settings{})
	require.ErrorContains(t, err, "/proc is not on tmpfs")
}

func init() {
	roles["find"] = func(args []string) error { return find(args[0], args[1], args[2]) }
}

// find spawns a temporary store where variable names a directory, which is in
// memory or on a disk as is /dev/shm: MEMORY DISK VARIABLE.
func find(memory, disk, variable string) error {
	if err := trial.MountSmallDisk(memory, 1<<20); err != nil {
		return err
	}
	if err := syscall.Mount("none", disk, "ramfs", 0, ""); err != nil { // which is not tmpfs either
		return err
	}
	if err := syscall.Mount(disk, "/dev/shm", "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	os.Setenv("XDG_RUNTIME_DIR", disk)
	os.Setenv("TMPDIR", disk)
	if err := (Protocol{}).Viable(); err == nil || !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("where nothing is in memory: %w", err)
	}
	fmt.Println((Protocol{}).Viable())
	os.Setenv(variable, memory)
	if err := (Protocol{}).Viable(); err != nil {
		return err
	}
	ctx := context.Background()
	st, err := Protocol{}.Spawn(ctx, "", protocol.Settings{})
	if err != nil {
		return err
	}
	defer st.Close()
	if filepath.Dir(filepath.Dir(st.Route())) != memory {
		return fmt.Errorf("the store is at %s", st.Route())
	}
	return st.Unspawn(ctx)
}

// A temporary store goes where there is memory, the first time as any other:
// never to a disk, and not only below /dev/shm.
func TestTemporaryPlace(t *testing.T) {
	disk, mounted := t.TempDir(), t.TempDir()
	for _, variable := range []string{"XDG_RUNTIME_DIR", "TMPDIR"} {
		cmd := exec.Command(os.Args[0], mounted, disk, variable)
		cmd.Env = append(os.Environ(), roleVar+"=find")
		trial.OnSmallDisk(cmd)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "mount tmpfs at /dev/shm, or set XDG_RUNTIME_DIR or TMPDIR")
	}
	left, err := os.ReadDir(disk)
	require.NoError(t, err)
	require.Empty(t, left)

	// Where both kinds are to be had, memory is taken, though nothing of ours
	// stands at either yet.
	t.Setenv("XDG_RUNTIME_DIR", disk)
	t.Setenv("TMPDIR", filepath.Join(disk, "fresh"))
	st, err := Protocol{}.Spawn(within(t), "", protocol.Settings{})
	require.NoError(t, err)
	defer st.Close()
	require.NoError(t, checkRoute(st.Route()))
	require.NoError(t, st.Unspawn(within(t)))
}
