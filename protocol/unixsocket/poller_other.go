//go:build unix && (!linux || ipcmgr_fallback)

package unixsocket

import (
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// past is a deadline that makes a wait end at once.
var past = time.Unix(1, 0)

// poller tells which of many sockets can be read. A goroutine for each waits
// with a copy of the descriptor in Go's poller, and rests from when its socket
// can be read until whoever asked has had the occasion to do so.
//
// One goroutine at a time calls ready and wait; the other methods may be called
// by all.
type poller struct {
	mu       sync.Mutex
	watches  map[int]*watch
	readable []*watch
	told     []*watch // since the last ready
	signal   chan struct{}
	done     sync.WaitGroup
}

type watch struct {
	fd    int
	file  *os.File
	again chan struct{}
	gone  chan struct{}
}

func newPoller() (*poller, error) {
	return &poller{watches: map[int]*watch{}, signal: make(chan struct{}, 1)}, nil
}

// add begins to tell of fd.
func (p *poller) add(fd int) error {
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	w := &watch{
		fd: fd, file: os.NewFile(uintptr(copied), "unixsocket"),
		again: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watches[fd] != nil {
		w.file.Close()
		return unix.EEXIST
	}
	p.watches[fd] = w
	p.done.Go(func() { p.follow(w) })
	return nil
}

// follow tells each time that w can be read.
func (p *poller) follow(w *watch) {
	raw, err := w.file.SyscallConn()
	for err == nil {
		err = raw.Read(func(fd uintptr) bool { return polled(int(fd), unix.POLLIN) })
		p.mu.Lock()
		if p.watches[w.fd] == w {
			p.readable = append(p.readable, w)
		}
		p.mu.Unlock()
		p.wake()
		select {
		case <-w.again:
		case <-w.gone:
			return
		}
	}
}

// remove ends that. A socket is removed before it is closed.
func (p *poller) remove(fd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(fd)
}

func (p *poller) drop(fd int) {
	if w := p.watches[fd]; w != nil {
		delete(p.watches, fd)
		close(w.gone)
		w.file.Close()
	}
}

// ready lists, without waiting, sockets that can be read. It asks the kernel,
// for the goroutines learn of what has come a moment later: an empty list means
// that there is nothing. The list is valid until the next call.
func (p *poller) ready() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rearm()
	p.told, p.readable = p.readable, nil
	all := make([]unix.PollFd, 0, len(p.watches))
	for fd := range p.watches {
		all = append(all, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	if _, err := retried(func() (int, error) { return unix.Poll(all, 0) }); err != nil {
		return p.toldOf()
	}
	var fds []int
	for _, one := range all {
		if one.Revents != 0 {
			fds = append(fds, int(one.Fd))
		}
	}
	slices.Sort(fds)
	return fds
}

// toldOf lists what the goroutines have told of.
func (p *poller) toldOf() (fds []int) {
	for _, w := range p.told {
		if p.watches[w.fd] == w {
			fds = append(fds, w.fd)
		}
	}
	return fds
}

func (p *poller) rearm() {
	for _, w := range p.told {
		w.again <- struct{}{}
	}
	p.told = nil
}

// clear takes back a wake that is there. After it, look at what a wake may be
// about, and then wait.
func (p *poller) clear() {
	select {
	case <-p.signal:
	default:
	}
}

// wait blocks until a socket may be readable or wake has been called since
// clear, and says whether it had to. It may return early.
func (p *poller) wait() (slept bool) {
	p.mu.Lock()
	p.rearm()
	waiting := len(p.readable) > 0
	p.mu.Unlock()
	if !waiting {
		<-p.signal
	}
	return !waiting
}

// wake makes a wait return, the next one if there is none.
func (p *poller) wake() {
	select {
	case p.signal <- struct{}{}:
	default:
	}
}

func (p *poller) close() {
	p.mu.Lock()
	for fd := range p.watches {
		p.drop(fd)
	}
	p.mu.Unlock()
	p.done.Wait()
}
