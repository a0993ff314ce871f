//go:build unix

package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Seal makes the mailbox refuse. A sender's write either was before, and is
// read here, or fails.
func (m *Mailbox) Seal(ctx context.Context) error {
	return failed("seal", "", m.seal(ctx))
}

func (m *Mailbox) seal(ctx context.Context) error {
	if err := m.usable(ctx); err != nil {
		return err
	}
	m.refuse()
	for begun := time.Now(); ; {
		err := m.drainInTurn(ctx)
		if err == nil || !errors.As(err, new(unix.Errno)) || time.Since(begun) > shortage {
			return err
		}
		select {
		case <-time.After(shortPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// shortage is how long a goodbye waits for descriptors: without them, what was
// accepted cannot all be read.
const shortage = 2 * time.Second

func (m *Mailbox) drainInTurn(ctx context.Context) error {
	if err := m.take(ctx); err != nil {
		return err
	}
	defer m.release()
	if m.drained {
		return nil
	}
	return m.drain()
}

// refuse shuts the gate.
func (m *Mailbox) refuse() {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if !m.closed.Load() {
		m.keeper.Seal()
	}
}

// drain takes in all that was accepted: what the kernel holds is not much. It
// belongs to who has the turn. The error says why not all could be, yet.
func (m *Mailbox) drain() error {
	m.listener.unlink()
	unix.Shutdown(m.listener.fd, unix.SHUT_RDWR)
	m.inbox.seal()
	m.mu.Lock()
	m.sealed = true
	m.mu.Unlock()
	_, err := m.acceptAll()
	m.poller.remove(m.listener.fd)
	m.mu.Lock()
	conns := slices.Collect(maps.Values(m.conns))
	for _, c := range conns {
		c.shut(unix.SHUT_RD)
	}
	m.mu.Unlock()
	// Older ones first: their peer wrote on them before.
	slices.SortFunc(conns, func(a, b *conn) int { return a.serial - b.serial })
	for _, c := range conns {
		m.exhaust(c)
		if err == nil {
			err = c.unmet
		}
	}
	m.drained = err == nil
	return err
}

func (m *Mailbox) isSealed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sealed
}

// exhaust reads c to its end, unless it is unmet, and keeps it for writing.
func (m *Mailbox) exhaust(c *conn) {
	if f := c.from; f != nil && f.current != nil && f.current != c {
		m.exhaust(f.current)
	}
	m.poller.remove(c.fd)
	for !c.spent {
		switch err := m.read(c); err {
		case nil:
			if c.unmet != nil {
				return
			}
		case unix.EAGAIN, errEnd:
			c.spent = true
			if f := c.from; f != nil {
				if c.in.midFrame() {
					m.notice(fmt.Errorf("%q was refused in the middle of a message, which will not arrive", f.id))
				}
				f.current = nil
			}
		default:
			c.spent = true
			m.lose(c, err)
		}
	}
}

// Leave ends the connection for good; the protocol knows no other way.
func (m *Mailbox) Leave(ctx context.Context, d protocol.Departure) error {
	if d.Suspend {
		return failed("suspend", "", fmt.Errorf("a mailbox of sockets lives with its process: %w", errors.ErrUnsupported))
	}
	if ctx.Err() != nil {
		return failed("leave", "", context.Cause(ctx))
	}
	if m.closed.Load() || !m.leaving.CompareAndSwap(false, true) {
		return failed("leave", "", protocol.ErrClosed)
	}
	err := m.seal(ctx)
	if err == nil {
		err = m.entry.Leave(ctx, d, func() error { return m.store.RemoveBox(ctx, m.entry.Key) })
	} else {
		m.entry.Abandon()
	}
	m.close()
	return failed("leave", "", err)
}

// abandon ends the connection as a crash would.
func (m *Mailbox) abandon() {
	m.entry.Abandon()
	m.close()
}

// close ends every call under way and frees all.
func (m *Mailbox) close() {
	if !m.closed.CompareAndSwap(false, true) {
		return
	}
	m.end(protocol.ErrClosed)
	m.poller.wake()
	m.closing.Lock()   // every call that began before has ended
	m.closing.Unlock() //nolint:staticcheck // waiting is all it is for
	m.tasks.Wait()
	m.turn <- struct{}{} // for ever
	m.free()
}

// free closes whatever there is. Nobody reads or writes any more.
func (m *Mailbox) free() {
	m.rest.Stop()
	if m.unwatch != nil {
		m.unwatch()
	}
	for _, c := range m.conns {
		m.poller.remove(c.fd)
		c.close()
	}
	if m.lobby != nil {
		m.lobby.Close()
	}
	for _, l := range m.links {
		l.unlink()
	}
	if m.listener != nil {
		m.listener.close()
	}
	if m.watcher != nil {
		m.watcher.Close()
	}
	if m.poller != nil {
		m.poller.close()
	}
	if m.keeper != nil {
		m.keeper.Close()
	}
}
