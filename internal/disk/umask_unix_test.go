//go:build unix

package disk_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func fifo(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, unix.Mkfifo(path, 0o600))
}

const umaskVariable = "IPCMGR_TEST_UMASK"

// Modes are exact under any umask. A umask is the process's, so it is set in
// one of its own.
func TestUmask(t *testing.T) {
	if path := os.Getenv(umaskVariable); path != "" {
		unix.Umask(0o777)
		d := open(t, path)
		put(t, d, "made", "x")
		f, err := d.Append("appended")
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.NoError(t, d.Mkdir("dir"))
		require.NoError(t, disk.WriteFile(d, d, "whole", nil, false))
		return
	}
	path := t.TempDir()
	c := exec.Command(os.Args[0], "-test.run=^TestUmask$")
	c.Env = append(os.Environ(), umaskVariable+"="+path)
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	d := open(t, path)
	for name, want := range map[string]fs.FileMode{"made": 0o600, "appended": 0o600, "whole": 0o600, "dir": fs.ModeDir | 0o700} {
		info, err := d.Stat(name)
		require.NoError(t, err)
		require.Equal(t, want, info.Mode, name)
	}
}

// A file of another user in one of our directories was put there by somebody
// who may not. Only root can make one; for others, each file that is not
// theirs is as good.
func TestFilesOfAnotherUser(t *testing.T) {
	dir, name := t.TempDir(), "foreign"
	if unix.Geteuid() == 0 {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, nil, 0o666))
		require.NoError(t, os.Chown(path, 4711, 4711))
	} else {
		dir, name = "/etc", "passwd"
	}
	_, err := open(t, dir).Open(name)
	require.ErrorIs(t, err, disk.ErrNotRegular)
	require.ErrorContains(t, err, "belongs to user")
}
