//go:build !ipcmgr_fallback

package process

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	rest := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n"
	for _, name := range []string{"sh", "a b", ")", ") Z 1 (", "a) Z 9 9 9", "(", ""} {
		got, ok := parseStat([]byte("42 (" + name + ")" + rest))
		require.True(t, ok, name)
		require.Equal(t, stat{'S', 1, 4711}, got, name)
	}
	for _, line := range []string{"", "42", "42 (sh", "42 (sh)", "42 (sh) S 1 2", "42 (sh)" + strings.Replace(rest, "4711", "-1", 1), "42 (sh)" + strings.Replace(rest, "1", "x", 1)} {
		_, ok := parseStat([]byte(line))
		require.False(t, ok, line)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (sh) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n"))
	f.Fuzz(func(t *testing.T, line []byte) { parseStat(line) })
}

// A pid that was given to a thread of another process names no process.
func TestThreadIsNoProcess(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if syscall.Gettid() == os.Getpid() {
		return // the one thread that shares its number with the process
	}
	_, err := Watch(ID{PID: syscall.Gettid()})
	require.ErrorIs(t, err, os.ErrProcessDone)
}
