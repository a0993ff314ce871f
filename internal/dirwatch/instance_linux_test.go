package dirwatch

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
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
