//go:build linux && !ipcmgr_fallback

package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func watch(id ID) (*Exit, error) {
	fd, err := openPidfd(id)
	if errors.Is(err, errors.ErrUnsupported) {
		return watchByTimer(id)
	}
	if err != nil {
		return nil, err
	}
	// Go's poller takes only descriptors that do not block.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("process %d: %w", id.PID, err)
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	conn, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("process %d: %w", id.PID, err)
	}
	e := &Exit{done: make(chan struct{}), ended: make(chan struct{})}
	e.stop = func() error {
		if err := file.Close(); !errors.Is(err, os.ErrClosed) {
			return err
		}
		return nil
	}
	e.look = func() (ended bool) {
		err := conn.Control(func(fd uintptr) { ended = readable(fd) })
		return err == nil && ended
	}
	go func() {
		defer close(e.ended)
		if conn.Read(readable) == nil {
			close(e.done)
		}
	}()
	return e, nil
}

// readable says whether the process of a pidfd has ended.
func readable(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return n > 0
		}
	}
}

// Signal sends sig to the process and to no other: a pidfd is held on it while
// its start time is compared. The error matches os.ErrProcessDone when it has
// ended.
func Signal(id ID, sig os.Signal) error {
	s, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("process %d: signal %v: %w", id.PID, sig, errors.ErrUnsupported)
	}
	fd, err := openPidfd(id)
	if errors.Is(err, errors.ErrUnsupported) {
		return signalByPID(id, s)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	switch err := unix.PidfdSendSignal(fd, s, nil, 0); err {
	case nil:
		return nil
	case unix.ESRCH:
		return done(id)
	default:
		return fmt.Errorf("signal process %d: %w", id.PID, err)
	}
}

// openPidfd gives a descriptor of the process. errors.ErrUnsupported where the
// kernel, or a sandbox, has none to give.
func openPidfd(id ID) (int, error) {
	if id.PID <= 0 {
		return -1, done(id)
	}
	fd, err := unix.PidfdOpen(id.PID, 0)
	switch err {
	case nil:
	case unix.ESRCH, unix.EINVAL, unix.ENOENT: // the latter two: the pid is that of a mere thread
		return -1, done(id)
	case unix.ENOSYS, unix.EPERM:
		return -1, fmt.Errorf("pidfd: %w", errors.ErrUnsupported)
	default:
		return -1, fmt.Errorf("process %d: %w", id.PID, err)
	}
	// Compared only now: the descriptor pins what is compared. It also knows
	// better than /proc when a process has ended, see threads.
	start, err := Start(id.PID)
	stranger := err == nil && id.Start != 0 && id.Start != start
	if stranger || readable(uintptr(fd)) {
		unix.Close(fd)
		return -1, done(id)
	}
	return fd, nil
}
