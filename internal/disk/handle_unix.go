//go:build unix && !ipcmgr_fallback

package disk

import (
	"io/fs"
	"math"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// handle is a descriptor that is not closed while a call uses it: its number
// would be given to another file at once, and the call would hit that one.
type handle struct {
	fd int
	// users counts the calls under way; closing adds the lowest number there
	// is, and whoever brings it back to that closes the descriptor.
	users atomic.Int64
}

const closing = math.MinInt64

// use begins a call; the caller ends it with done unless there is an error.
func (h *handle) use() error {
	for {
		n := h.users.Load()
		if n < 0 {
			return fs.ErrClosed
		}
		if h.users.CompareAndSwap(n, n+1) {
			return nil
		}
	}
}

func (h *handle) done() {
	if h.users.Add(-1) == closing {
		unix.Close(h.fd)
	}
}

// close does not wait for the calls under way: the last one closes.
func (h *handle) close() error {
	for {
		n := h.users.Load()
		if n < 0 {
			return fs.ErrClosed
		}
		if !h.users.CompareAndSwap(n, n+closing) {
			continue
		}
		if n > 0 {
			return nil
		}
		if err := unix.Close(h.fd); err != unix.EINTR { // which means closed, too
			return err
		}
		return nil
	}
}

// retry repeats a call that a signal has interrupted.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
