//go:build unix

package filelock

import (
	"os"

	"golang.org/x/sys/unix"
)

// safely: no symbolic link is followed, and nothing that is not a file makes
// open hang.
const safely = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

const (
	exclusive = unix.LOCK_EX
	shared    = unix.LOCK_SH
)

// flock takes a lock and says whether it got it; with wait, it does.
func flock(f *os.File, how int, wait bool) (bool, error) {
	if !wait {
		how |= unix.LOCK_NB
	}
	for {
		switch err := unix.Flock(int(f.Fd()), how); err {
		case nil:
			return true, nil
		case unix.EWOULDBLOCK:
			return false, nil
		case unix.EINTR:
		default:
			return false, err
		}
	}
}

func unlock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }
