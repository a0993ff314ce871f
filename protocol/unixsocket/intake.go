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
	shortPause   = 100 * time.Millisecond // after running out of descriptors
	catchUpLimit = 4 << 20                // bytes; more than the kernel keeps for a connection
	readsAtOnce  = catchUpLimit / leastRead

	// Clients of ours wait for room at the gate. Only those that ignore it can
	// make the mailbox hold this much more than its settings.
	excessMsgs  = 1 << 20
	excessBytes = 64 << 20
)

// acceptAll accepts each connection that waits, and says whether there was one.
// The error says why others wait still; they are looked at again after a pause.
func (m *Mailbox) acceptAll() (got bool, err error) {
	for {
		fd, err := acceptSocket(m.listener.fd)
		switch {
		case err == nil:
			got = true
			err = m.admitStranger(fd)
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			continue
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINVAL): // none, or shut down
			return got, nil
		case m.dropStranger(err):
			continue
		default:
			err = fmt.Errorf("accept: %w", err)
		}
		if err != nil {
			m.poller.remove(m.listener.fd)
			m.later(err)
			return got, err
		}
	}
}

// later has what cannot be done now, and says nothing about a peer, tried again
// after a pause.
func (m *Mailbox) later(why error) {
	m.mu.Lock()
	first := !m.paused
	m.paused = true
	told := m.shortage.tell(why, time.Now())
	m.mu.Unlock()
	m.notice(told)
	if first {
		time.AfterFunc(shortPause, m.resume)
	}
}

// resume goes on after a pause.
func (m *Mailbox) resume() {
	if m.take(m.over) != nil {
		return
	}
	defer m.release()
	m.mu.Lock()
	m.paused = false
	sealed, strangers, unwatched := m.sealed, slices.Clone(m.strangers), m.unwatched
	m.unwatched = nil
	m.mu.Unlock()
	if sealed && !m.drained {
		_ = m.drain() // whoever seals is told
		return
	}
	for _, c := range unwatched {
		m.watch(c)
	}
	for _, c := range strangers {
		if c.unmet != nil {
			m.receive(c)
		}
	}
	if !sealed {
		if err := m.poller.add(m.listener.fd); err != nil && !errors.Is(err, unix.EEXIST) {
			m.later(err)
		}
	}
}

// admitStranger takes in a connection. The error says why no other one can be.
func (m *Mailbox) admitStranger(fd int) error {
	pid, uid, err := credentials(fd)
	switch {
	case err != nil:
		err = fmt.Errorf("who has dialled is not told: %w", err)
	case uid != os.Geteuid():
		err = fmt.Errorf("process %d belongs to another user (%d)", pid, uid)
	}
	if err != nil {
		unix.Close(fd)
		m.notice(m.strange.tell(fmt.Errorf("a connection is refused: %w", err), time.Now()))
		return nil
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	c := newConn(fd)
	c.pid = pid
	m.mu.Lock()
	m.enlist(c)
	m.strangers = append(m.strangers, c)
	m.mu.Unlock()
	m.watch(c)
	m.receive(c) // its hello is often there
	m.mu.Lock()
	tooMany := len(m.strangers) > maxStrangers
	m.mu.Unlock()
	if err := errCrowded; tooMany && !m.dropStranger(err) {
		return err
	}
	return nil
}

var errCrowded = fmt.Errorf("more than %d connections wait to say who they are", maxStrangers)

// dropStranger closes the oldest connection without a hello, unless its hello has
// come since it was read last. It returns false if there is none.
func (m *Mailbox) dropStranger(reason error) bool {
	oldest := m.oldestSilent()
	if oldest == nil {
		return false
	}
	m.hear(oldest)
	if m.oldestSilent() == oldest {
		m.lose(oldest, reason)
	}
	return true
}

func (m *Mailbox) oldestSilent() *conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.strangers {
		if c.unmet == nil {
			return c
		}
	}
	return nil
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
	if c.in.primed && c.unmet == nil {
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
	case err == nil && c.unmet == nil:
		m.last = c
		return true
	case err == nil, err == unix.EAGAIN:
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
	err := m.show(c)
	if err == nil || errors.Is(err, unix.EEXIST) {
		return
	}
	m.mu.Lock()
	m.unwatched = append(m.unwatched, c)
	m.mu.Unlock()
	m.later(err)
}

func (m *Mailbox) show(c *conn) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil
	}
	return m.poller.add(c.fd)
}

// shortageError is about this process or its machine, and not about a peer.
type shortageError struct{ error }

func (e shortageError) Unwrap() error { return e.error }

// unlooked is what it means that somebody could not be looked up.
func unlooked(err error) error {
	if _, ok := errors.AsType[unix.Errno](err); ok {
		return shortageError{fmt.Errorf("who has dialled cannot be found out now: %w", err)}
	}
	return err
}

// meet greets who is at the other end of c, whose hello is there. If that cannot
// be done now, c is unmet.
func (m *Mailbox) meet(c *conn, hello []byte) error {
	err := m.greet(c, hello)
	if short, ok := errors.AsType[shortageError](err); ok {
		c.unmet, c.in.primed = short, true
		m.poller.remove(c.fd)
		m.later(short)
		return nil
	}
	if err == nil && c.unmet != nil {
		m.watch(c)
	}
	c.unmet = nil
	return err
}

// greet finds out who is at the other end of c.
func (m *Mailbox) greet(c *conn, hello []byte) error {
	if older := m.unmetBefore(c); older != nil {
		return older.unmet // what is on it comes first
	}
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
		return unlooked(err)
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
			return unlooked(err)
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

// unmetBefore gives an unmet connection of the same process that is older than
// c, and may be the same client's.
func (m *Mailbox) unmetBefore(c *conn) *conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.strangers {
		if o == c {
			break
		}
		if o.pid == c.pid && o.unmet != nil {
			return o
		}
	}
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
	case reason != errEnd && c.from == nil:
		m.notice(m.strange.tell(reason, time.Now()))
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
