//go:build unix

package unixsocket

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A socket that cannot be bound is closed again.
func TestBindThatFailsLeaksNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "taken")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	lowest := func() int { // the descriptor that comes next
		fd, err := unix.Dup(0)
		require.NoError(t, err)
		unix.Close(fd)
		return fd
	}
	before := lowest()
	const tries = 100 // what else goes on in this process may open or close a few
	for range tries {
		_, err := bind(path)
		require.ErrorIs(t, err, unix.EADDRINUSE)
	}
	require.Less(t, lowest(), before+tries)
}
