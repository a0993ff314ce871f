package diskfault_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/disk/diskfault"
	"github.com/stretchr/testify/require"
)

var errFull = errors.New("disk is full")

type fixture struct {
	fs     *diskfault.FS
	d, tmp disk.Dir
}

func open(t *testing.T, hook diskfault.Hook) fixture {
	t.Helper()
	x := fixture{fs: diskfault.New(disk.Real, hook)}
	for _, d := range []*disk.Dir{&x.d, &x.tmp} {
		var err error
		*d, err = x.fs.OpenDir(t.TempDir())
		require.NoError(t, err)
		t.Cleanup(func() { (*d).Close() })
	}
	x.fs.Forget()
	return x
}

func (x fixture) ops() (ops []string) {
	for _, c := range x.fs.Calls() {
		ops = append(ops, c.Op)
	}
	return ops
}

// With sync, the content is on disk before the name is, and the name before
// WriteFile returns.
func TestOrder(t *testing.T) {
	x := open(t, nil)
	require.NoError(t, disk.WriteFile(x.d, x.tmp, "a", []byte("x"), true))
	require.Equal(t, []string{
		diskfault.Create, diskfault.Write, diskfault.Sync, diskfault.Close, diskfault.Rename, diskfault.SyncDir,
	}, x.ops())
	calls := x.fs.Calls()
	require.Equal(t, x.tmp.Path(), filepath.Dir(calls[4].Path))
	require.Equal(t, filepath.Join(x.d.Path(), "a"), calls[4].To)
	require.Equal(t, x.d.Path(), calls[5].Path)

	x.fs.Forget()
	require.NoError(t, disk.WriteFile(x.d, x.tmp, "b", nil, false))
	require.NotContains(t, x.ops(), diskfault.Sync)
	require.NotContains(t, x.ops(), diskfault.SyncDir)
}

// Whatever fails, what stood under the name is whole, the error says whether
// it was replaced, and no temporary file is left.
func TestWriteFileFails(t *testing.T) {
	for _, op := range []string{
		diskfault.Create, diskfault.Write, diskfault.Sync, diskfault.Close, diskfault.Rename, diskfault.SyncDir,
	} {
		t.Run(op, func(t *testing.T) {
			x := open(t, nil)
			require.NoError(t, disk.WriteFile(x.d, x.tmp, "a", []byte("old"), true))
			x.fs.SetHook(diskfault.Nth(1, op, errFull))
			err := disk.WriteFile(x.d, x.tmp, "a", []byte("new"), true)
			require.ErrorIs(t, err, errFull)
			want := "old"
			if op == diskfault.SyncDir {
				want = "new"
				require.ErrorIs(t, err, disk.ErrUnsynced)
			} else {
				require.NotErrorIs(t, err, disk.ErrUnsynced)
			}
			data, err := disk.ReadFile(x.d, "a", 10)
			require.NoError(t, err)
			require.Equal(t, want, string(data))
			names, err := x.tmp.Names()
			require.NoError(t, err)
			require.Empty(t, names)
		})
	}
}

func TestShortWrite(t *testing.T) {
	x := open(t, diskfault.Nth(2, diskfault.Write, &diskfault.ShortWrite{N: 2, Err: errFull}))
	f, err := x.d.Create("a")
	require.NoError(t, err)
	n, err := f.Write([]byte("one"))
	require.NoError(t, err)
	require.Equal(t, 3, n)
	n, err = f.Write([]byte("two"))
	require.ErrorIs(t, err, errFull)
	require.Equal(t, 2, n)
	require.NoError(t, f.Close())
	data, err := disk.ReadFile(x.d, "a", 10)
	require.NoError(t, err)
	require.Equal(t, "onetw", string(data))
}

// A store under test is the store as it is: each call passes through.
func TestPasses(t *testing.T) {
	x := open(t, nil)
	require.NoError(t, x.d.Mkdir("sub"))
	sub, err := x.d.Sub("sub")
	require.NoError(t, err)
	f, err := sub.Append("a")
	require.NoError(t, err)
	_, err = f.Write([]byte("abc"))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	f, err = sub.Open("a")
	require.NoError(t, err)
	_, err = f.Stat()
	require.NoError(t, err)
	buf := make([]byte, 1)
	_, err = f.ReadAt(buf, 1)
	require.NoError(t, err)
	require.Equal(t, "b", string(buf))
	_, err = f.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "a", string(buf))
	require.NoError(t, f.Close())
	names, err := sub.Names()
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, names)
	_, err = sub.Stat("a")
	require.NoError(t, err)
	require.NoError(t, sub.Remove("a"))
	require.NoError(t, sub.Close())
	require.NoError(t, x.d.Rmdir("sub"))
	require.Equal(t, []string{
		diskfault.Mkdir, diskfault.Sub, diskfault.Append, diskfault.Write, diskfault.Close, diskfault.Open,
		diskfault.StatFile, diskfault.ReadAt, diskfault.Read, diskfault.Close, diskfault.Names, diskfault.Stat,
		diskfault.Remove, diskfault.CloseDir, diskfault.Rmdir,
	}, x.ops())
}
