package dirwatch

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// instances counts the inotify instances of this process.
func instances(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	n := 0
	for _, e := range entries {
		if target, _ := os.Readlink("/proc/self/fd/" + e.Name()); target == "anon_inode:inotify" {
			n++
		}
	}
	return n
}

func TestOneInstance(t *testing.T) {
	require.Zero(t, instances(t))
	for range 20 {
		watch(t, t.TempDir())
	}
	require.Equal(t, 1, instances(t))
}

// A user has few inotify instances. Where there is none left, the directory is
// looked at in turn, and a later Watch gets one again.
func TestNoInstanceLeft(t *testing.T) {
	var taken []int
	free := func() {
		for _, fd := range taken {
			unix.Close(fd)
		}
		taken = nil
	}
	defer free()
	for range 10_000 {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			break
		}
		taken = append(taken, fd)
	}
	var notices []error
	dir := t.TempDir()
	w, err := Watch(dir, func(err error) { notices = append(notices, err) })
	require.NoError(t, err)
	defer w.Close()
	require.True(t, w.Polling())
	require.Len(t, notices, 1)
	require.ErrorIs(t, notices[0], unix.EMFILE)
	write(t, filepath.Join(dir, "a"))
	told(t, w)
	free()
	require.False(t, watch(t, dir).Polling())
}
