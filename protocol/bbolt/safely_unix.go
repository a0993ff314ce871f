//go:build unix

package bbolt

import "golang.org/x/sys/unix"

// safely: no symbolic link is followed, and a FIFO does not make open hang.
const safely = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
