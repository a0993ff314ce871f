package words

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	childVariable = "IPCMGR_TEST_WORDS"
	rounds        = 500
)

func TestMain(m *testing.M) {
	path := os.Getenv(childVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	w, err := Open(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	count(w)
	os.Exit(0)
}

// count adds to word 0 in one way and to word 1 in the other.
func count(w *Words) {
	for range rounds {
		w.Add(0, 1)
		for {
			old := w.Load(1)
			if w.CompareAndSwap(1, old, old+1) {
				break
			}
		}
	}
}

func words(t testing.TB, n int) (*Words, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "words")
	require.NoError(t, Create(path, n))
	w, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return w, path
}

func TestWords(t *testing.T) {
	w, path := words(t, 3)
	require.Equal(t, 3, w.Len())
	for i := range 3 {
		require.Zero(t, w.Load(i))
	}
	w.Store(1, 1<<63+5)
	require.Equal(t, uint64(1<<63+5), w.Load(1))
	require.Equal(t, uint64(7), w.Add(2, 7))
	require.Equal(t, uint64(1<<64-1), w.Add(2, -8))
	require.False(t, w.CompareAndSwap(0, 1, 9))
	require.True(t, w.CompareAndSwap(0, 0, 9))

	again, err := Open(path)
	require.NoError(t, err)
	require.Equal(t, []uint64{9, 1<<63 + 5, 1<<64 - 1}, []uint64{again.Load(0), again.Load(1), again.Load(2)})
	again.Store(0, 10)
	require.Equal(t, uint64(10), w.Load(0))
	require.NoError(t, again.Close())
	require.NoError(t, again.Close())
	require.Panics(t, func() { w.Load(3) })
	require.Panics(t, func() { w.Store(-1, 0) })
}

func TestCreate(t *testing.T) {
	_, path := words(t, 1)
	require.ErrorIs(t, Create(path, 1), fs.ErrExist)
	require.ErrorIs(t, Create(filepath.Join(path, "..", "none", "w"), 1), fs.ErrNotExist)
	for _, n := range []int{0, -1, maxSize/8 + 1} {
		require.ErrorIs(t, Create(path+"2", n), fs.ErrInvalid)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "something is left behind")
	info, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.Equal(t, fs.FileMode(0o600), info.Mode())
	}
}

// Of many who create the same words one does, and all open them whole.
func TestCreateRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "words")
	var group sync.WaitGroup
	made := make(chan bool, 16)
	for range 16 {
		group.Go(func() {
			made <- Create(path, 4) == nil
			w, err := Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			if w.Len() != 4 {
				t.Errorf("%d words", w.Len())
			}
			w.Close()
		})
	}
	group.Wait()
	n := 0
	for range 16 {
		if <-made {
			n++
		}
	}
	require.Equal(t, 1, n)
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	for size, name := range map[int]string{0: "empty", 7: "odd", 12: "odder", maxSize + 8: "large"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, make([]byte, size), 0o600))
		_, err := Open(path)
		require.ErrorIs(t, err, fs.ErrInvalid, name)
	}
	_, err = Open(dir)
	require.Error(t, err)
	if runtime.GOOS != "windows" {
		link := filepath.Join(dir, "link")
		require.NoError(t, Create(filepath.Join(dir, "words"), 1))
		require.NoError(t, os.Symlink("words", link))
		_, err = Open(link)
		require.Error(t, err)
	}
}

// Processes and the goroutines in them lose no count.
func TestShared(t *testing.T) {
	w, path := words(t, 2)
	const children, goroutines = 3, 3
	var group sync.WaitGroup
	for range children {
		group.Go(func() {
			c := exec.Command(os.Args[0])
			c.Env = append(os.Environ(), childVariable+"="+path)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	for range goroutines {
		group.Go(func() { count(w) })
	}
	group.Wait()
	const want = uint64((children + goroutines) * rounds)
	require.Equal(t, want, w.Load(0))
	require.Equal(t, want, w.Load(1))
}

func BenchmarkAdd(b *testing.B) {
	w, _ := words(b, 1)
	for b.Loop() {
		w.Add(0, 1)
	}
}
