package bell

import (
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

const childVariable = "IPCMGR_TEST_BELL"

// The child answers each ring of its own bell with one of its parent's, until
// it is killed or its parent has ended.
func TestMain(m *testing.M) {
	dir := os.Getenv(childVariable)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := echo(dir); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func echo(dir string) error {
	b, err := Open(filepath.Join(dir, "there"))
	if err != nil {
		return err
	}
	r, err := OpenRope(filepath.Join(dir, "back"))
	if err != nil {
		return err
	}
	if err := r.Ring(); err != nil { // ready
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	for {
		if err := b.Wait(ctx); err != nil {
			return err
		}
		if err := r.Ring(); err != nil {
			return err
		}
	}
}

func child(t testing.TB) (there *Rope, back *Bell) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, Make(filepath.Join(dir, "there")))
	require.NoError(t, Make(filepath.Join(dir, "back")))
	back, err := Open(filepath.Join(dir, "back"))
	require.NoError(t, err)
	there, err = OpenRope(filepath.Join(dir, "there"))
	require.NoError(t, err)
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childVariable+"="+dir)
	c.Stdout = os.Stdout
	_, err = c.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		require.NoError(t, there.Close())
		require.NoError(t, back.Close())
	})
	require.NoError(t, back.Wait(soon(t)))
	return there, back
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func pair(t testing.TB) (*Bell, *Rope) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bell")
	require.NoError(t, Make(path))
	b, err := Open(path)
	require.NoError(t, err)
	r, err := OpenRope(path)
	require.NoError(t, err)
	t.Cleanup(func() {
		b.Close()
		r.Close()
	})
	return b, r
}

// silent says that no ring is pending.
func silent(t *testing.T, b *Bell) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("silence")
	got := make(chan error, 1)
	go func() { got <- b.Wait(ctx) }()
	select {
	case err := <-got:
		t.Fatalf("heard a ring that was not made: %v", err)
	case <-time.After(30 * time.Millisecond): // what is pending is heard at once
	}
	cancel(why)
	require.ErrorIs(t, <-got, why)
}

func TestRing(t *testing.T) {
	b, r := pair(t)
	for range 3 {
		silent(t, b)
		require.NoError(t, r.Ring())
		require.NoError(t, r.Ring())
		require.NoError(t, b.Wait(soon(t)))
	}
	silent(t, b)
}

func TestMake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bell")
	require.NoError(t, Make(path))
	require.ErrorIs(t, Make(path), fs.ErrExist)
	info, err := os.Lstat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("no bell"), 0o600))
	for path, want := range map[string]error{filepath.Join(dir, "none"): fs.ErrNotExist, file: fs.ErrInvalid, dir: nil} {
		_, err := Open(path)
		require.Error(t, err)
		_, ropeErr := OpenRope(path)
		require.Error(t, ropeErr)
		if want != nil {
			require.ErrorIs(t, err, want)
			require.ErrorIs(t, ropeErr, want)
		}
	}
	if runtime.GOOS != "windows" {
		require.NoError(t, Make(filepath.Join(dir, "bell")))
		require.NoError(t, os.Symlink("bell", filepath.Join(dir, "link")))
		_, err := Open(filepath.Join(dir, "link"))
		require.Error(t, err)
	}
}

// Rings that nobody hears fill the bell up. Further ones are no error and do
// not block.
func TestFull(t *testing.T) {
	b, r := pair(t)
	for range 70_000 {
		require.NoError(t, r.Ring())
	}
	require.NoError(t, b.Wait(soon(t)))
}

// A context that ends while a ring comes in must not end the next Wait.
func TestEndedContextDoesNotPoisonTheNextWait(t *testing.T) {
	b, r := pair(t)
	why := errors.New("over")
	for range 2000 {
		ctx, cancel := context.WithCancelCause(t.Context())
		var group sync.WaitGroup
		group.Go(func() { cancel(why) })
		group.Go(func() { r.Ring() })
		first := b.Wait(ctx)
		if first != nil {
			require.ErrorIs(t, first, why)
		}
		group.Wait()
		require.NoError(t, r.Ring())
		require.NoError(t, b.Wait(soon(t)))
	}
}

func TestClose(t *testing.T) {
	b, r := pair(t)
	got := make(chan error, 1)
	go func() { got <- b.Wait(context.Background()) }()
	require.NoError(t, b.Close())
	require.ErrorIs(t, <-got, os.ErrClosed)
	require.ErrorIs(t, b.Wait(context.Background()), os.ErrClosed)
	require.Error(t, b.Close())

	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for r.Ring() == nil {
			}
		})
	}
	require.NoError(t, r.Close())
	group.Wait()
	require.ErrorIs(t, r.Ring(), os.ErrClosed)
	require.ErrorIs(t, r.Close(), os.ErrClosed)
}

func TestProcesses(t *testing.T) {
	there, back := child(t)
	for range 200 {
		require.NoError(t, there.Ring())
		require.NoError(t, back.Wait(soon(t)))
	}
}

func BenchmarkRing(b *testing.B) {
	bell, r := pair(b)
	go func() {
		for bell.Wait(context.Background()) == nil {
		}
	}()
	for b.Loop() {
		if err := r.Ring(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	there, back := child(b)
	ctx := soon(b)
	for b.Loop() {
		if err := there.Ring(); err != nil {
			b.Fatal(err)
		}
		if err := back.Wait(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
