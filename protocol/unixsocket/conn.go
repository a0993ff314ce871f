//go:build unix

package unixsocket

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// errBroken is what a write to a connection that has ended gives.
var errBroken = errors.New("the connection has ended")

// conn is one connection with a peer, dialled by either side. Reading is the
// business of who has the mailbox's turn, writing of who holds the peer's link.
type conn struct {
	mu     sync.RWMutex // held exclusively to close fd, so that nobody uses one that is closed
	fd     int
	closed bool
	broken atomic.Bool // nothing more can be sent

	// over ends when the connection does.
	over context.Context
	end  context.CancelFunc

	// Who is at the other end; of an accepted connection known after its hello.
	from    *friend
	epoch   uint64
	counted bool // the peer counts at our gate what it sends
	past    bool // of an earlier life of the peer: nothing is sent to it
	serial  int  // grows from one connection of the mailbox to the next
	spent   bool // read to the end, and kept for writing
	pid     int  // from the credentials, as soon as there are any

	// Why it could not be found out yet whose hello is there. Meanwhile nothing
	// is read.
	unmet error

	in stream
}

func newConn(fd int) *conn {
	c := &conn{fd: fd}
	c.over, c.end = context.WithCancel(context.Background())
	return c
}

// recv reads what is there, without waiting: n == 0 with a nil error is the
// end, EAGAIN that there is nothing.
func (c *conn) recv(p []byte) (int, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return 0, nil
	}
	n, err := retried(func() (int, error) { return readNow(c.fd, p) })
	if err == unix.ECONNRESET {
		// The peer has closed with something of ours unread. All that it wrote
		// itself was read before this.
		return 0, nil
	}
	return max(n, 0), err
}

// send writes what there is room for, without waiting: EAGAIN when there is
// none, errBroken when the peer does not read any more.
func (c *conn) send(p []byte) (int, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return 0, errBroken
	}
	n, err := retried(func() (int, error) { return writeNow(c.fd, p) })
	if err == unix.EPIPE || err == unix.ECONNRESET {
		c.broken.Store(true)
		err = errBroken
	}
	return max(n, 0), err
}

// hangup blocks until the other side has closed the connection, and gives
// errBroken, or until ctx ends. Whoever reads the connection would find out, but
// one that is stalled or sealed is not read.
func (c *conn) hangup(ctx context.Context) error {
	if err := c.await(ctx, 0); err != nil {
		return err
	}
	return errBroken
}

// await blocks until one of events, or a failure, is there, or ctx ends. Go's
// poller sees a copy of the descriptor for as long as that takes: one that it
// knew all the time would wake it for each message that arrives.
func (c *conn) await(ctx context.Context, events int16) error {
	f, err := c.copy()
	if err != nil {
		return err
	}
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetDeadline(past) })
	defer stop()
	wait := raw.Read
	if events == unix.POLLOUT {
		wait = raw.Write
	}
	err = wait(func(fd uintptr) bool { return polled(int(fd), events) })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (c *conn) copy() (*os.File, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, errBroken
	}
	fd, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), "unixsocket"), nil
}

// ended says whether the other side has closed the connection, as its end does
// to it. What it wrote before may still be unread here.
func (c *conn) ended() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.closed || polled(c.fd, 0)
}

// polled says whether one of events, or a failure, is there now.
func polled(fd int, events int16) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	n, err := retried(func() (int, error) { return unix.Poll(fds, 0) })
	return n > 0 || err != nil
}

// shut ends one direction or both; who waits at the other end is woken.
func (c *conn) shut(how int) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !c.closed {
		unix.Shutdown(c.fd, how)
	}
}

// cut ends sending, so that the peer drops a frame that is written in part.
func (c *conn) cut() {
	c.broken.Store(true)
	c.shut(unix.SHUT_WR)
}

// close frees the descriptor.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	unix.Shutdown(c.fd, unix.SHUT_RDWR) // for a copy that somebody waits with
	unix.Close(c.fd)
	c.end()
}
