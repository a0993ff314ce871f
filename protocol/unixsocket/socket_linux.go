//go:build linux && !ipcmgr_fallback

package unixsocket

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const atOnce = unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK

func newSocket() (int, error) { return unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|atOnce, 0) }

func acceptSocket(fd int) (int, error) {
	nfd, _, err := unix.Accept4(fd, atOnce)
	return nfd, err
}

// oneCall is how many bytes one call moves at most: while it lasts, the goroutine
// cannot be interrupted.
const oneCall = 1 << 17

// readNow and writeNow do what read and write do with a socket that never makes
// them wait. So the scheduler need not know of them, which costs a tenth of a
// small message.

func readNow(fd int, p []byte) (int, error) { return now(unix.SYS_READ, fd, p) }

func writeNow(fd int, p []byte) (int, error) { return now(unix.SYS_WRITE, fd, p) }

func now(call uintptr, fd int, p []byte) (int, error) {
	n, _, err := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(min(len(p), oneCall)))
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}
