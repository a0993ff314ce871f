//go:build unix && !ipcmgr_fallback

package bell

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Polls says whether who waits for a bell looks again and again.
const Polls = false

func makeBell(path string) error {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return wrap(path, &fs.PathError{Op: "mkfifo", Path: path, Err: err})
	}
	// Few umasks take anything from 0600: only those cost a second call.
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Perm() != 0o600 {
		err = os.Chmod(path, 0o600)
	}
	return wrap(path, err)
}

// openFIFO opens for reading and writing on either side: the reader never sees
// an end, and the writer never gets SIGPIPE.
func openFIFO(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		if info, statErr := os.Lstat(path); statErr == nil && info.Mode().Type() != fs.ModeNamedPipe {
			return -1, notBell(path)
		}
		return -1, wrap(path, &fs.PathError{Op: "open", Path: path, Err: err})
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, wrap(path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		unix.Close(fd)
		return -1, notBell(path)
	}
	return fd, nil
}

// Bell is the waiting side.
type Bell struct {
	file *os.File
	buf  [4096]byte // takes many rings at once

	mu   sync.Mutex
	turn int // which Wait a deadline is meant for
}

// Open opens the bell at path for waiting. The error matches fs.ErrNotExist if
// there is none, fs.ErrInvalid if there is something else.
func Open(path string) (*Bell, error) {
	fd, err := openFIFO(path)
	if err != nil {
		return nil, err
	}
	return &Bell{file: os.NewFile(uintptr(fd), path)}, nil
}

// Wait blocks until the bell is rung, unless it was since the last Wait. It
// returns context.Cause(ctx) when ctx ends, and an error that matches
// os.ErrClosed after Close. One goroutine waits at a time.
func (b *Bell) Wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if ctx.Done() != nil {
		turn := b.turn // changed only by Wait
		stop := context.AfterFunc(ctx, func() { b.expire(turn) })
		defer func() {
			if !stop() {
				b.renew()
			}
		}()
	}
	_, err := b.file.Read(b.buf[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	return err
}

var past = time.Unix(1, 0)

// expire ends the Wait of that turn.
func (b *Bell) expire(turn int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if turn == b.turn {
		b.file.SetReadDeadline(past)
	}
}

// renew begins the next turn: a context that ended with the last one may be
// about to set its deadline, or has done so.
func (b *Bell) renew() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn++
	b.file.SetReadDeadline(time.Time{})
}

// Close closes the bell and ends a Wait. The file stays.
func (b *Bell) Close() error { return b.file.Close() }

// Rope is the ringing side. Its methods may be called concurrently.
type Rope struct {
	// mu keeps Close away while a Ring uses the descriptor. The descriptor is
	// not in Go's poller, which would wake for every ring, its own included.
	mu sync.RWMutex
	fd int // -1 after Close
}

// OpenRope opens the bell at path for ringing. The errors are those of Open.
func OpenRope(path string) (*Rope, error) {
	fd, err := openFIFO(path)
	if err != nil {
		return nil, err
	}
	return &Rope{fd: fd}, nil
}

var ring = []byte{0}

// Ring rings and does not block. That nobody waits is no error. After Close it
// returns os.ErrClosed.
func (r *Rope) Ring() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.fd < 0 {
		return os.ErrClosed
	}
	for {
		switch _, err := unix.Write(r.fd, ring); err {
		case nil, unix.EAGAIN: // full of rings that nobody heard: one more adds nothing
			return nil
		case unix.EINTR:
		default:
			return os.NewSyscallError("ring", err)
		}
	}
}

// Close lets go of the rope.
func (r *Rope) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return os.ErrClosed
	}
	fd := r.fd
	r.fd = -1
	return os.NewSyscallError("close", unix.Close(fd))
}
