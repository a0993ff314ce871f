//go:build unix && (!linux || ipcmgr_fallback)

package unixsocket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// The lock keeps a child that is being forked from getting the descriptor
// before it is marked to be closed on exec.

func newSocket() (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return own(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0))
}

func acceptSocket(fd int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	nfd, _, err := unix.Accept(fd)
	return own(nfd, err)
}

func own(fd int, err error) (int, error) {
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func readNow(fd int, p []byte) (int, error) { return unix.Read(fd, p) }

func writeNow(fd int, p []byte) (int, error) { return unix.Write(fd, p) }
