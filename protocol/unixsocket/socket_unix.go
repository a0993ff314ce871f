//go:build unix

package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// sendBuffer is what a socket is asked to hold of what its peer has not read.
// The kernel gives less where its limit is lower.
const sendBuffer = 1 << 20

// backlog is how many connections may wait to be accepted; the kernel's own
// limit is often lower.
const backlog = 4096

// retried calls f until no signal has interrupted it.
func retried(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}

// bind makes a socket that listens at path, where nothing may be.
func bind(path string) (int, error) {
	fd, err := newSocket()
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := listenAt(fd, path); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func listenAt(fd int, path string) error {
	// Linux gives the socket's file this mode, less the umask. Elsewhere the
	// call may fail, and the mode of the directory is the guard until chmod.
	_ = unix.Fchmod(fd, 0o600)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return &os.PathError{Op: "bind", Path: path, Err: err}
	}
	if err := errors.Join(os.Chmod(path, 0o600), unix.Listen(fd, backlog)); err != nil {
		os.Remove(path)
		return fmt.Errorf("listen at %s: %w", path, err)
	}
	return nil
}

// reach connects a socket to the one that listens at path. EAGAIN, with a socket
// for reachPatiently, says that the backlog of who listens is full.
func reach(path string) (fd int, err error) {
	fd, err = newSocket()
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	if err = connectTo(fd, path); err != nil && err != unix.EAGAIN {
		unix.Close(fd)
		return -1, err
	}
	return fd, err
}

// reachPatiently waits for room in the backlog of who listens at path. It looks
// at ctx ten times a second: the kernel has no other way to call off a connect.
func reachPatiently(ctx context.Context, fd int, path string) error {
	tenth := unix.NsecToTimeval(int64(100 * time.Millisecond))
	err := errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tenth), unix.SetNonblock(fd, false))
	for err == nil {
		if err = connectTo(fd, path); err == nil {
			return unix.SetNonblock(fd, true)
		}
		if err == unix.EAGAIN {
			err = context.Cause(ctx)
		}
	}
	return err
}

func connectTo(fd int, path string) error {
	_, err := retried(func() (int, error) { return 0, unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
	return err
}
