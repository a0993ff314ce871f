//go:build linux && !ipcmgr_fallback

package unixsocket

import "golang.org/x/sys/unix"

const atOnce = unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK

func newSocket() (int, error) { return unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|atOnce, 0) }

func acceptSocket(fd int) (int, error) {
	nfd, _, err := unix.Accept4(fd, atOnce)
	return nfd, err
}
