package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/stretchr/testify/require"
)

func open(t testing.TB, path string) disk.Dir {
	t.Helper()
	d, err := disk.Real.OpenDir(path)
	require.NoError(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func put(t testing.TB, d disk.Dir, name, data string) {
	t.Helper()
	f, err := d.Create(name)
	require.NoError(t, err)
	n, err := io.WriteString(f, data)
	require.NoError(t, err)
	require.Equal(t, len(data), n)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
}

func get(t testing.TB, d disk.Dir, name string) string {
	t.Helper()
	data, err := disk.ReadFile(d, name, 1<<20)
	require.NoError(t, err)
	return string(data)
}

func TestFiles(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	require.Equal(t, path, d.Path())
	put(t, d, "a", "one")
	_, err := d.Create("a")
	require.ErrorIs(t, err, fs.ErrExist)
	require.Equal(t, "one", get(t, d, "a"))

	for _, name := range []string{"a", "b"} {
		f, err := d.Append(name)
		require.NoError(t, err)
		_, err = io.WriteString(f, " two")
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.ErrorIs(t, f.Close(), fs.ErrClosed)
		_, err = f.Write([]byte("x"))
		require.ErrorIs(t, err, fs.ErrClosed)
	}
	require.Equal(t, "one two", get(t, d, "a"))
	require.Equal(t, " two", get(t, d, "b"))

	f, err := d.Open("a")
	require.NoError(t, err)
	buf := make([]byte, 3)
	n, err := f.ReadAt(buf, 4)
	require.NoError(t, err)
	require.Equal(t, "two", string(buf[:n]))
	n, err = f.ReadAt(buf, 6)
	require.Equal(t, io.EOF, err)
	require.Equal(t, 1, n)
	all, err := io.ReadAll(f)
	require.NoError(t, err)
	require.Equal(t, "one two", string(all))
	info, err := f.Stat()
	require.NoError(t, err)
	require.Equal(t, int64(7), info.Size)
	require.Equal(t, os.Getuid(), info.UID)
	there, err := d.Stat("a")
	require.NoError(t, err)
	require.Equal(t, info, there)
	require.NoError(t, f.Close())

	names, err := d.Names()
	require.NoError(t, err)
	slices.Sort(names)
	require.Equal(t, []string{"a", "b"}, names)
	require.NoError(t, d.Rename("a", d, "b"))
	require.Equal(t, "one two", get(t, d, "b"))
	require.NoError(t, d.Remove("b"))
	for _, err := range []error{
		d.Remove("b"), d.Rename("b", d, "c"), second(d.Open("b")), second(d.Stat("b")), second(d.Sub("b")),
	} {
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.ErrorContains(t, err, filepath.Join(path, "b"))
	}
	names, err = d.Names()
	require.NoError(t, err)
	require.Empty(t, names)
	require.NoError(t, d.Sync())
}

func second[T any](_ T, err error) error { return err }

func TestDirectories(t *testing.T) {
	d := open(t, t.TempDir())
	require.NoError(t, d.Mkdir("sub"))
	require.ErrorIs(t, d.Mkdir("sub"), fs.ErrExist)
	sub, err := d.Sub("sub")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(d.Path(), "sub"), sub.Path())
	put(t, sub, "a", "x")
	require.NoError(t, sub.Rename("a", d, "a"))
	require.Equal(t, "x", get(t, d, "a"))
	require.Error(t, d.Remove("sub"), "a directory is not removed as a file")
	require.Error(t, d.Rmdir("a"), "a file is not removed as a directory")
	require.Error(t, second(d.Sub("a")))
	put(t, sub, "b", "x")
	require.Error(t, d.Rmdir("sub"), "it is not empty")
	require.NoError(t, sub.Remove("b"))
	require.NoError(t, d.Rmdir("sub"))
	require.Error(t, second(sub.Create("c")), "the directory is gone")
	require.NoError(t, sub.Close())
	require.ErrorIs(t, sub.Close(), fs.ErrClosed)
}

func TestClosed(t *testing.T) {
	d := open(t, t.TempDir())
	put(t, d, "a", "x")
	other := open(t, t.TempDir())
	require.NoError(t, d.Close())
	for op, err := range map[string]error{
		"create": second(d.Create("b")), "append": second(d.Append("b")), "open": second(d.Open("a")),
		"rename": d.Rename("a", other, "a"), "rename to": other.Rename("a", d, "a"), "remove": d.Remove("a"),
		"mkdir": d.Mkdir("b"), "rmdir": d.Rmdir("b"), "sub": second(d.Sub("b")), "names": second(d.Names()),
		"stat": second(d.Stat("a")), "sync": d.Sync(), "close": d.Close(),
	} {
		require.ErrorIs(t, err, fs.ErrClosed, op)
	}
}

func TestNames(t *testing.T) {
	d := open(t, t.TempDir())
	for _, name := range []string{"", ".", "..", "a/b", "/a", "../a", "a\x00b"} {
		for _, err := range []error{
			second(d.Create(name)), second(d.Append(name)), second(d.Open(name)), d.Rename(name, d, "a"),
			d.Rename("a", d, name), d.Remove(name), d.Mkdir(name), d.Rmdir(name), second(d.Sub(name)), second(d.Stat(name)),
		} {
			require.ErrorIs(t, err, fs.ErrInvalid, "%q", name)
		}
	}
	var want []string
	for i := range 3000 {
		name := fmt.Sprintf("%d-%s", i, strings.Repeat("x", i%200))
		require.NoError(t, os.WriteFile(filepath.Join(d.Path(), name), nil, 0o600)) // not synced, as put is
		want = append(want, name)
	}
	slices.Sort(want)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 5 {
				names, err := d.Names()
				slices.Sort(names)
				if err != nil || !slices.Equal(want, names) {
					t.Errorf("%d names, %v", len(names), err)
				}
			}
		})
	}
	group.Wait()
}

// What is in a store may have been put there by anyone of the same user.
func TestTraps(t *testing.T) {
	if runtime.GOOS == "windows" {
		return
	}
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("secret"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink(filepath.Join(dir, "nothing"), filepath.Join(dir, "dangling")))
	require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(dir, "linkdir")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "dir"), 0o700))
	fifo(t, filepath.Join(dir, "fifo"))
	d := open(t, dir)
	for _, name := range []string{"link", "dangling", "linkdir", "dir", "fifo"} {
		require.ErrorIs(t, second(d.Open(name)), disk.ErrNotRegular, name)
		require.ErrorIs(t, second(d.Append(name)), disk.ErrNotRegular, name)
		require.ErrorIs(t, second(d.Create(name)), fs.ErrExist, name)
	}
	require.Error(t, second(d.Sub("linkdir")))
	require.Error(t, second(d.Sub("fifo")))
	for _, end := range []string{"", "/", "//"} {
		require.Error(t, second(disk.Real.OpenDir(filepath.Join(dir, "linkdir")+end)))
	}
	info, err := d.Stat("link")
	require.NoError(t, err)
	require.Equal(t, fs.ModeSymlink, info.Mode.Type())
	info, err = d.Stat("fifo")
	require.NoError(t, err)
	require.Equal(t, fs.ModeNamedPipe, info.Mode.Type())
	info, err = d.Stat("dir")
	require.NoError(t, err)
	require.Equal(t, fs.ModeDir|0o700, info.Mode)
	require.NoFileExists(t, filepath.Join(dir, "nothing"))
	require.NoError(t, d.Remove("link"))
	require.FileExists(t, outside)
}

// A directory that is closed while others use it gives them fs.ErrClosed, and
// never a file of whoever gets its descriptor next.
func TestCloseWhileInUse(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(path, "a"), []byte("right"), 0o600))
	wrong := t.TempDir()
	for range 200 {
		d := open(t, path)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for {
					if _, err := d.Stat("a"); err != nil {
						if !isClosed(err) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		group.Go(func() { d.Rename("a", d, "a") })
		require.NoError(t, d.Close())
		next := open(t, wrong)
		group.Wait()
		next.Close()
	}
}

func isClosed(err error) bool { return errors.Is(err, fs.ErrClosed) }

func TestWholeFile(t *testing.T) {
	d, tmp := open(t, t.TempDir()), open(t, t.TempDir())
	for _, sync := range []bool{false, true} {
		for _, size := range []int{0, 1, 4096, 1 << 20} {
			data := bytes.Repeat([]byte{'x'}, size)
			require.NoError(t, disk.WriteFile(d, tmp, "a", data, sync))
			got, err := disk.ReadFile(d, "a", size)
			require.NoError(t, err)
			require.Equal(t, data, got)
			if size > 0 {
				_, err = disk.ReadFile(d, "a", size-1)
				require.ErrorIs(t, err, disk.ErrTooLarge)
			}
		}
	}
	names, err := tmp.Names()
	require.NoError(t, err)
	require.Empty(t, names)
}

func BenchmarkMessage(b *testing.B) {
	d, tmp := open(b, b.TempDir()), open(b, b.TempDir())
	data := make([]byte, 1024)
	for b.Loop() {
		if err := disk.WriteFile(d, tmp, "a", data, false); err != nil {
			b.Fatal(err)
		}
		if _, err := disk.ReadFile(d, "a", 1<<20); err != nil {
			b.Fatal(err)
		}
		if err := d.Remove("a"); err != nil {
			b.Fatal(err)
		}
	}
}
