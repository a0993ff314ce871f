//go:build unix

package bbolt

import (
	"os"

	"golang.org/x/sys/unix"
)

// safely: no symbolic link is followed, and a FIFO does not make open hang.
const safely = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

// removed says whether a file that is open has no name any more.
func removed(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink == 0
}

// unlock drops the lock that bolt has put on a file.
func unlock(f *os.File) { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }
