package filelock

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const childVariable = "IPCMGR_TEST_LOCK"

func TestMain(m *testing.M) {
	path := os.Getenv(childVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	if _, err := Lock(context.Background(), path); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("locked")
	io.Copy(io.Discard, os.Stdin) // ends with its parent, at the latest
	os.Exit(0)
}

// holder is another process that holds the lock. kill ends it.
func holder(t *testing.T, path string) (kill func()) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childVariable+"="+path)
	_, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	kill = sync.OnceFunc(func() {
		c.Process.Kill()
		c.Wait()
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "locked\n", line)
	return kill
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// idle waits until no goroutine of the package is left for path.
func idle(t *testing.T, path string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		queues.Lock()
		n := len(queues.at)
		queues.Unlock()
		if n == 0 {
			return
		}
		require.True(t, time.Now().Before(deadline), "a wait is left for %s", path)
		runtime.Gosched()
	}
}

// queued waits until n callers wait for path.
func queued(t *testing.T, path string, n int) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		queues.Lock()
		q := queues.at[path]
		ok := q != nil && len(q.waiting) == n
		queues.Unlock()
		if ok {
			return
		}
		require.True(t, time.Now().Before(deadline), "%d do not wait", n)
		runtime.Gosched()
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	_, err := Held(path)
	require.ErrorIs(t, err, fs.ErrNotExist)

	h, err := Lock(soon(t), path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.Equal(t, fs.FileMode(0o600), info.Mode())
	}
	_, err = h.File().WriteString("mine")
	require.NoError(t, err)

	held, err := Held(path)
	require.NoError(t, err)
	require.True(t, held)
	_, ok, err := TryLock(path)
	require.NoError(t, err)
	require.False(t, ok, "locks of one process exclude each other")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "mine", string(data))

	require.NoError(t, h.Unlock())
	held, err = Held(path)
	require.NoError(t, err)
	require.False(t, held)
	h, ok, err = TryLock(path)
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, h.Unlock())
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := Lock(soon(t), filepath.Join(dir, "none", "lock"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Lock(soon(t), dir)
	require.Error(t, err)
	if runtime.GOOS == "windows" {
		return
	}
	require.NoError(t, os.Symlink("elsewhere", filepath.Join(dir, "link")))
	_, _, err = TryLock(filepath.Join(dir, "link"))
	require.Error(t, err)
	require.NoFileExists(t, filepath.Join(dir, "elsewhere"))
	for _, path := range []string{dir, filepath.Join(dir, "link")} {
		_, err = Held(path)
		require.ErrorIs(t, err, fs.ErrInvalid)
	}
}

// A lock goes with the process that is killed, and who waits gets it.
func TestKilledHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	kill := holder(t, path)
	held, err := Held(path)
	require.NoError(t, err)
	require.True(t, held)

	got := make(chan error, 1)
	go func() {
		h, err := Lock(soon(t), path)
		if err == nil {
			err = h.Unlock()
		}
		got <- err
	}()
	queued(t, path, 1)
	kill()
	require.NoError(t, <-got)
	idle(t, path)
}

// A caller whose context ends does not wait on, and the wait it began in the
// kernel serves the next caller.
func TestContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	kill := holder(t, path)
	why := errors.New("enough")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err := Lock(ended, path)
	require.ErrorIs(t, err, why)

	before := runtime.NumGoroutine()
	for range 20 {
		ctx, cancel := context.WithCancelCause(t.Context())
		got := make(chan error, 1)
		go func() {
			_, err := Lock(ctx, path)
			got <- err
		}()
		queued(t, path, 1)
		cancel(why)
		require.ErrorIs(t, <-got, why)
	}
	deadline := time.Now().Add(time.Minute)
	for runtime.NumGoroutine() > before+1 {
		require.True(t, time.Now().Before(deadline), "more than one goroutine waits")
		runtime.Gosched()
	}

	got := make(chan error, 1)
	go func() {
		h, err := Lock(soon(t), path)
		if err == nil {
			err = h.Unlock()
		}
		got <- err
	}()
	queued(t, path, 1)
	kill()
	require.NoError(t, <-got)
	idle(t, path)
}

// A wait that nobody is interested in any more does not keep the lock.
func TestAbandoned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	h, err := Lock(soon(t), path)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := Lock(ctx, path)
		got <- err
	}()
	queued(t, path, 1)
	cancel()
	require.ErrorIs(t, <-got, context.Canceled)
	require.NoError(t, os.Remove(path))
	require.NoError(t, h.Unlock())
	idle(t, path)
	require.NoFileExists(t, path, "an abandoned wait made a file")
}

// Who waits for a file that is replaced meanwhile gets the lock on the new one.
func TestReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	h, err := Lock(soon(t), path)
	require.NoError(t, err)
	got := make(chan *Hold, 1)
	go func() {
		h, _ := Lock(soon(t), path)
		got <- h
	}()
	queued(t, path, 1)
	require.NoError(t, os.Remove(path))
	require.NoError(t, h.Unlock())
	h = <-got
	require.NotNil(t, h)
	mine, err := h.File().Stat()
	require.NoError(t, err)
	there, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(mine, there))
	require.NoError(t, h.Unlock())
}

// Goroutines of one process exclude each other as processes do.
func TestExclusion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	const goroutines, rounds = 8, 100
	count := 0
	var order sync.Mutex // for the race detector, which cannot see the file's lock
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for range rounds {
				h, err := Lock(soon(t), path)
				if err != nil {
					t.Error(err)
					return
				}
				if !order.TryLock() {
					t.Error("two hold the lock")
					return
				}
				count++
				order.Unlock()
				h.Unlock()
			}
		})
	}
	group.Wait()
	require.Equal(t, goroutines*rounds, count)
	idle(t, path)
}

// Those who only ask whether a lock is held are not taken for a holder.
func TestHeldDoesNotDisturb(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	h, err := Lock(soon(t), path)
	require.NoError(t, err)
	require.NoError(t, h.Unlock())
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					Held(path)
				}
			}
		})
	}
	for range 2000 {
		h, ok, err := TryLock(path)
		if err != nil || !ok {
			t.Errorf("not taken: %v", err)
			break
		}
		h.Unlock()
	}
	close(stop)
	group.Wait()
}

func TestExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	boom := errors.New("boom")
	require.ErrorIs(t, Exclusive(f, func() error {
		held, err := Held(path)
		require.NoError(t, err)
		require.True(t, held)
		return boom
	}), boom)
	held, err := Held(path)
	require.NoError(t, err)
	require.False(t, held)
}

func BenchmarkLock(b *testing.B) {
	path := filepath.Join(b.TempDir(), "lock")
	for b.Loop() {
		h, err := Lock(b.Context(), path)
		if err != nil {
			b.Fatal(err)
		}
		h.Unlock()
	}
}

func BenchmarkHeld(b *testing.B) {
	path := filepath.Join(b.TempDir(), "lock")
	h, err := Lock(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Unlock()
	for b.Loop() {
		Held(path)
	}
}
