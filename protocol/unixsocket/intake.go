//go:build unix

package unixsocket

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/protocol"
)

const (
	maxStrangers = 256                    // connections without a hello; of more, the oldest is closed
	maxPerPeer   = 256                    // connections with one peer, read to the end or not; more are refused
	acceptPause  = 100 * time.Millisecond // after running out of descriptors
	catchUpLimit = 4 << 20                // bytes; more than the kernel keeps for a connection
	readsAtOnce  = catchUpLimit / leastRead

	// Clients of ours wait for room at the gate. Only those that ignore it can
	// make the mailbox hold this much more than its settings.
	excessMsgs  = 1 << 20
	excessBytes = 64 << 20
)

// acceptAll accepts each connection that waits, and says whether there was one.
func (m *Mailbox) acceptAll() (got bool) {
	for {
		fd, err := acceptSocket(m.listener.fd)
		switch {
		case err == nil:
			got = true
			if err := m.admitStranger(fd); err != nil {
				unix.Close(fd)
				m.notice(fmt.Errorf("a connection is refused: %w", err))
			}
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINVAL): // none, or shut down
			return got
		default:
			if m.dropStranger(err) {
				continue
			}
			m.notice(fmt.Errorf("accept: %w", err))
			l := m.listener.fd
			m.poller.remove(l)
			time.AfterFunc(acceptPause, func() { m.resume(l) })
			return got
		}
	}
}

// resume listens again after a pause.
func (m *Mailbox) resume(fd int) {
	if m.take(m.over) != nil {
		return
	}
	defer m.release()
	if m.listener.fd == fd && !m.drained {
		_ = m.poller.add(fd)
	}
}

func (m *Mailbox) admitStranger(fd int) error {
	pid, uid, err := credentials(fd)
	if err != nil {
		return fmt.Errorf("who has dialled is not told: %w", err)
	}
	if uid != os.Geteuid() {
		return fmt.Errorf("process %d belongs to another user (%d)", pid, uid)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	c := newConn(fd)
	c.pid = pid
	m.mu.Lock()
	m.enlist(c)
	m.strangers = append(m.strangers, c)
	tooMany := len(m.strangers) > maxStrangers
	m.mu.Unlock()
	if err := m.poller.add(fd); err != nil {
		m.lose(c, err)
		return nil
	}
	m.receive(c) // its hello is often there
	if tooMany {
		m.dropStranger(fmt.Errorf("more than %d connections wait to say who they are", maxStrangers))
	}
	return nil
}

// dropStranger closes the oldest connection without a hello, if there is one.
func (m *Mailbox) dropStranger(reason error) bool {
	m.mu.Lock()
	var oldest *conn
	if len(m.strangers) > 0 {
		oldest = m.strangers[0]
	}
	m.mu.Unlock()
	if oldest == nil {
		return false
	}
	m.lose(oldest, reason)
	return true
}

// receive reads c once, after all that its peer has written on others before,
// and says whether something came, if only the end.
func (m *Mailbox) receive(c *conn) bool {
	if c.from == nil {
		m.hearOlder(c)
	}
	return m.hear(c)
}

// hearOlder reads the hellos that are there of older connections which may be
// c's peer's: what it has written on them comes before what is on c.
func (m *Mailbox) hearOlder(c *conn) {
	m.mu.Lock()
	strangers := slices.Clone(m.strangers)
	m.mu.Unlock()
	for _, o := range strangers {
		if o == c {
			return
		}
		if o.pid == c.pid {
			m.hear(o)
		}
	}
}

func (m *Mailbox) hear(c *conn) bool {
	if c.from != nil {
		if !c.in.primed && m.stalls(c) {
			return false
		}
		if c.from.current != c {
			m.catchUp(c)
		}
	}
	got := m.absorb(c)
	if c.in.primed {
		m.hear(c) // what came with the hello; no event will tell of it
	}
	return got
}

// catchUp reads what c's peer has written on other connections: it is there
// already, because a write to a socket is in the reader's queue when it returns,
// and the peer turned to c after that.
func (m *Mailbox) catchUp(c *conn) {
	m.mu.Lock()
	others := slices.Clone(c.from.conns)
	m.mu.Unlock()
	for _, o := range others {
		for range readsAtOnce {
			if o == c || !m.absorb(o) {
				break
			}
		}
	}
	c.from.current = c
}

func (m *Mailbox) absorb(c *conn) bool {
	err := m.read(c)
	switch {
	case err == nil:
		m.last = c
		return true
	case err == unix.EAGAIN:
		return false
	}
	m.lose(c, err)
	return true
}

// stalls says whether c is not to be read now because the mailbox holds too
// much; it is watched again when there is room.
func (m *Mailbox) stalls(c *conn) bool {
	msgs, bytes := m.msgLimit, m.byteLimit
	if c.counted {
		msgs, bytes = more(msgs, excessMsgs), more(bytes, excessBytes)
	}
	if m.drained || !m.inbox.full(msgs, bytes) {
		return false
	}
	m.poller.remove(c.fd)
	if !m.inbox.stall(c, msgs, bytes) { // there is room meanwhile
		m.watch(c)
		return false
	}
	if m.last == c {
		m.last = nil
	}
	return true
}

// more is a limit doubled and raised, if that is a number.
func more(limit, by int) int {
	if sum := limit + limit + by; sum > limit {
		return sum
	}
	return limit
}

// watch has the poller tell of c.
func (m *Mailbox) watch(c *conn) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !c.closed {
		if err := m.poller.add(c.fd); err != nil && !errors.Is(err, unix.EEXIST) {
			m.notice(err)
		}
	}
}

// greet finds out who is at the other end of c.
func (m *Mailbox) greet(c *conn, hello []byte) error {
	id, err := m.options.Who(hello)
	if err == nil && id != protocol.Guard {
		err = protocol.CheckID(id)
	}
	if err != nil {
		return fmt.Errorf("the connection of process %d begins with no hello: %w", c.pid, err)
	}
	if id == m.id {
		return fmt.Errorf("process %d says that it is %q, as this client is", c.pid, id)
	}
	seen, err := m.store.Look(id)
	if err != nil && !errors.Is(err, protocol.ErrNoPeer) {
		return err
	}
	c.counted = !seen.Foreign
	switch {
	case seen.State == protocol.Active && m.same(c.pid, seen.PID):
		c.epoch = seen.Epoch
	case err == nil && m.same(c.pid, seen.PID):
		c.past = true
	default:
		// It may have been that client before it died, left, or was succeeded.
		held, err := heldOnce(m.store, id, c.pid)
		if err != nil {
			return err
		}
		if !held && proves {
			return fmt.Errorf("process %d says that it is %q, which it is not", c.pid, id)
		}
		c.past, c.counted = true, true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.friends[id]; f != nil && len(f.conns) >= maxPerPeer {
		return fmt.Errorf("%q has %d connections and makes another one", id, len(f.conns))
	}
	m.strangers = slices.DeleteFunc(m.strangers, func(s *conn) bool { return s == c })
	m.befriend(c, id)
	return nil
}

func (m *Mailbox) same(pid, recorded int) bool { return pid == recorded || !proves && pid == 0 }

// enlist adds c to the mailbox's connections. The lock is held.
func (m *Mailbox) enlist(c *conn) {
	m.serial++
	c.serial = m.serial
	m.conns[c.fd] = c
}

// befriend notes that c is a connection with id. The lock is held.
func (m *Mailbox) befriend(c *conn, id string) {
	f := m.friends[id]
	if f == nil {
		f = &friend{id: id}
		m.friends[id] = f
	}
	c.from = f
	f.conns = append(f.conns, c)
}

// lose closes a connection that has ended, or that is not worth more. One that
// is lost already stays so: its descriptor may be another one's by now.
func (m *Mailbox) lose(c *conn, reason error) {
	m.mu.Lock()
	known := m.conns[c.fd] == c
	m.mu.Unlock()
	if !known {
		return
	}
	switch {
	case reason != errEnd:
		m.notice(reason)
		m.drifted = true
	case c.in.midFrame() && c.from != nil:
		m.notice(fmt.Errorf("the connection of %q ended in the middle of a message, which is dropped", c.from.id))
	}
	c.broken.Store(true)
	m.poller.remove(c.fd)
	if m.last == c {
		m.last = nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.conns, c.fd)
	same := func(o *conn) bool { return o == c }
	m.strangers = slices.DeleteFunc(m.strangers, same)
	if f := c.from; f != nil {
		if l := m.links[f.id]; l != nil {
			m.dropLink(l)
		}
		if f.current == c {
			f.current = nil
		}
		if f.conns = slices.DeleteFunc(f.conns, same); len(f.conns) == 0 {
			delete(m.friends, f.id)
		}
	}
	c.close()
}
