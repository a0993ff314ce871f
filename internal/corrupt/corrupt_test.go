package corrupt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

var errWhy = errors.New("because")

func place(dir string) Place { return Place{FS: disk.Real, Dir: dir} }

func TestSetKeepsTheThingAndTheReason(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "al")
	require.NoError(t, place(dir).Set("message", []byte("poison"), errWhy))
	require.NoError(t, place(dir).Set(strings.Repeat("x", 255), nil, errWhy))
	found, err := filepath.Glob(filepath.Join(dir, "*-message*"))
	require.NoError(t, err)
	require.Len(t, found, 2)
	for i, want := range []string{"poison", "because\n"} {
		data, err := os.ReadFile(found[i])
		require.NoError(t, err)
		require.Equal(t, want, string(data))
		info, err := os.Stat(found[i])
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}
}

func TestTakeMovesWhateverItIs(t *testing.T) {
	from, err := disk.Real.OpenDir(t.TempDir())
	require.NoError(t, err)
	defer from.Close()
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(from.Path(), "link")))
	require.NoError(t, os.Mkdir(filepath.Join(from.Path(), "dir"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(from.Path(), "file"), []byte("x"), 0o600))
	dir := filepath.Join(t.TempDir(), "al")
	for _, name := range []string{"link", "dir", "file"} {
		require.NoError(t, place(dir).Take(from, name, errWhy))
		found, err := filepath.Glob(filepath.Join(dir, "*-"+name+"*"))
		require.NoError(t, err)
		require.Len(t, found, 2)
	}
	names, err := from.Names()
	require.NoError(t, err)
	require.Empty(t, names)
	require.ErrorIs(t, place(dir).Take(from, "nothing", errWhy), fs.ErrNotExist)
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	dir := t.TempDir()
	require.ErrorIs(t, place(dir).Set("large", make([]byte, MaxBytes+1), errWhy), ErrFull)
	for i := range MaxFiles {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600))
	}
	require.ErrorIs(t, place(dir).Set("one more", nil, errWhy), ErrFull)
	from, err := disk.Real.OpenDir(t.TempDir())
	require.NoError(t, err)
	defer from.Close()
	require.NoError(t, os.WriteFile(filepath.Join(from.Path(), "file"), []byte("x"), 0o600))
	require.ErrorIs(t, place(dir).Take(from, "file", errWhy), ErrFull)
	require.NoFileExists(t, filepath.Join(from.Path(), "file"), "it must not come again")
}
