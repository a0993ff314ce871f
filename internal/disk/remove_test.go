package disk_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/stretchr/testify/require"
)

// busy is a directory in which somebody makes a file just before it, or one
// that is in it, is removed: left times.
type busy struct {
	disk.Dir
	left *int
}

func (b busy) Sub(name string) (disk.Dir, error) {
	sub, err := b.Dir.Sub(name)
	return busy{sub, b.left}, err
}

func (b busy) Rmdir(name string) error {
	if *b.left > 0 {
		*b.left--
		if err := os.WriteFile(filepath.Join(b.Path(), name, "late"), nil, 0o600); err != nil {
			return err
		}
	}
	return b.Dir.Rmdir(name)
}

func TestRemoveAll(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	outside := filepath.Join(t.TempDir(), "stays")
	require.NoError(t, os.WriteFile(outside, nil, 0o600))
	plant := func() {
		require.NoError(t, os.MkdirAll(filepath.Join(path, "a/b/c"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(path, "a/b/file"), nil, 0o600))
		require.NoError(t, os.Symlink(filepath.Dir(outside), filepath.Join(path, "a/link")))
	}

	plant()
	require.NoError(t, disk.RemoveAll(t.Context(), d, "a"))
	require.NoDirExists(t, filepath.Join(path, "a"))
	require.NoError(t, disk.RemoveAll(t.Context(), d, "a"), "again")

	plant()
	left := 5
	require.NoError(t, disk.RemoveAll(t.Context(), busy{d, &left}, "a"))
	require.Zero(t, left)
	require.NoDirExists(t, filepath.Join(path, "a"))

	// With a ctx that has ended one try is made.
	ended, why := context.WithCancelCause(t.Context())
	enough := errors.New("disk_test: enough")
	why(enough)
	plant()
	require.NoError(t, disk.RemoveAll(ended, d, "a"))
	plant()
	left = 1
	err := disk.RemoveAll(ended, busy{d, &left}, "a")
	require.ErrorIs(t, err, enough)
	require.ErrorIs(t, err, fs.ErrExist)

	require.NoError(t, os.WriteFile(filepath.Join(path, "plain"), nil, 0o600))
	require.NoError(t, disk.RemoveAll(t.Context(), d, "plain"))
	require.NoFileExists(t, filepath.Join(path, "plain"))
	require.FileExists(t, outside, "no link is followed")
}
