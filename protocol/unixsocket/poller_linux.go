//go:build linux && !ipcmgr_fallback

package unixsocket

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// past is a deadline that makes a wait end at once.
var past = time.Unix(1, 0)

// poller tells which of many sockets can be read. It is an epoll descriptor
// that Go's own poller watches in turn, so that the goroutine that waits for a
// message also reads it: a hop between goroutines would double a round trip.
//
// One goroutine at a time calls ready and wait; the other methods may be called
// by all.
type poller struct {
	file   *os.File
	raw    syscall.RawConn
	epfd   int
	woken  atomic.Bool
	events [64]unix.EpollEvent
	found  int // of events, by wait, for the next ready
	fds    []int

	try           func(uintptr) bool // lookOnce
	looked, slept bool               // in this wait
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll"), epfd: fd}
	p.try = p.lookOnce
	p.raw, err = p.file.SyscallConn()
	if err == nil {
		err = p.file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		p.file.Close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return p, nil
}

// add begins to tell of fd.
func (p *poller) add(fd int) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epfd, unix.EPOLL_CTL_ADD, fd, &e))
}

// remove ends that. A socket is removed before it is closed, because a copy of
// its descriptor would keep it here.
func (p *poller) remove(fd int) {
	// The error is that it is not there, which is what is wanted.
	_ = unix.EpollCtl(p.epfd, unix.EPOLL_CTL_DEL, fd, nil)
}

// ready lists, without waiting, sockets that can be read. The list is valid
// until the next call.
func (p *poller) ready() []int {
	if p.found == 0 {
		p.look()
	}
	p.fds = p.fds[:0]
	for _, e := range p.events[:p.found] {
		p.fds = append(p.fds, int(e.Fd))
	}
	p.found = 0
	return p.fds
}

func (p *poller) look() bool {
	n, err := retried(func() (int, error) { return unix.EpollWait(p.epfd, p.events[:], 0) })
	p.found = max(n, 0)
	return n > 0 || err != nil
}

// clear takes back a wake that is there. After it, look at what a wake may be
// about, and then wait.
func (p *poller) clear() {
	if p.woken.Load() && p.woken.Swap(false) {
		p.file.SetReadDeadline(time.Time{})
	}
}

// wait blocks until a socket may be readable or wake has been called since
// clear, and says whether it had to. It may return early.
func (p *poller) wait() (slept bool) {
	if p.found > 0 {
		return false
	}
	p.looked, p.slept = false, false
	if err := p.raw.Read(p.try); errors.Is(err, os.ErrDeadlineExceeded) {
		// A wake may set its deadline after clear has seen its mark.
		p.woken.Store(true)
	}
	return p.slept
}

// lookOnce is what Go's poller calls before it sleeps, and after. Then the caller
// looks, at the likeliest socket first.
func (p *poller) lookOnce(uintptr) bool {
	if p.looked {
		p.slept = true
		return true
	}
	p.looked = true
	return p.look()
}

// wake makes a wait return, the next one if there is none.
func (p *poller) wake() {
	p.woken.Store(true)
	p.file.SetReadDeadline(past)
}

func (p *poller) close() { p.file.Close() }
