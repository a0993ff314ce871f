//go:build unix

package unixsocket

import (
	"context"
	"io"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// othersEvery is how often, in reads, the sockets other than the last active one
// are looked at, though that one has more to give.
const othersEvery = 16

// Fetch gives messages. The goroutine that waits here reads the sockets itself.
func (m *Mailbox) Fetch(ctx context.Context, ds []protocol.Delivery, wait bool) (int, error) {
	n, err := m.fetch(ctx, ds, wait)
	if err != nil && err != io.EOF {
		err = failed("fetch", "", err)
	}
	return n, err
}

func (m *Mailbox) fetch(ctx context.Context, ds []protocol.Delivery, wait bool) (int, error) {
	if err := m.usable(ctx); err != nil || len(ds) == 0 {
		return 0, err
	}
	if !m.fetched.Load() {
		m.fetched.Store(true)
	}
	if n := m.inbox.take(ds); n > 0 {
		return n, nil
	}
	for {
		n, again, err := m.fetchInTurn(ctx, ds, wait)
		if !again {
			return n, err
		}
	}
}

// fetchInTurn is fetch with the turn held; again when somebody else wants it.
func (m *Mailbox) fetchInTurn(ctx context.Context, ds []protocol.Delivery, wait bool) (n int, again bool, err error) {
	if err := m.take(ctx); err != nil {
		return 0, false, err
	}
	defer m.release()
	for waited := false; ; {
		if n := m.inbox.take(ds); n > 0 {
			return n, false, nil
		}
		if m.leaving.Load() {
			return 0, false, protocol.ErrClosed
		}
		if m.drained {
			return 0, false, io.EOF
		}
		// Who waits for an answer each time need not ask whether it is there yet.
		got := (waited || !wait || !m.quiet) && m.readLast()
		if !got && (waited || !wait) {
			got = m.readReady()
		}
		waited = false
		if got {
			continue
		}
		if !wait {
			return m.inbox.take(ds), false, nil // what the client has just sent to itself
		}
		m.settleCounts()
		m.watchContext(ctx)
		m.poller.clear()
		if err := m.usable(ctx); err != nil {
			return 0, false, err
		}
		if m.wanted.Load() > 0 {
			return 0, true, nil
		}
		if m.inbox.some.Load() {
			continue
		}
		m.quiet = m.poller.wait()
		waited = true
	}
}

// settleCounts is done before a wait: senders may hold back because of what was
// never read, or for a mark that is not reached without acknowledging.
func (m *Mailbox) settleCounts() {
	if m.drifted && m.inbox.empty() {
		m.drifted = false
		m.keeper.Recount(0, 0)
	}
	m.keeper.Rest()
}

// watchContext makes the end of ctx wake the poller. A program passes the same
// one to many calls, so the last one stays watched.
func (m *Mailbox) watchContext(ctx context.Context) {
	if ctx.Done() == m.watched {
		return
	}
	if m.unwatch != nil {
		m.unwatch()
		m.unwatch = nil
	}
	m.watched = ctx.Done()
	if m.watched != nil {
		m.unwatch = context.AfterFunc(ctx, m.poller.wake)
	}
}

// readLast reads the connection that gave something last, and now and then the
// others too. It says whether something came.
func (m *Mailbox) readLast() bool {
	m.looks++
	got := m.last != nil && m.receive(m.last)
	if m.looks%othersEvery == 0 {
		got = m.readReady() || got
	}
	return got
}

// readReady looks once at each socket that has something.
func (m *Mailbox) readReady() (got bool) {
	for _, fd := range m.poller.ready() {
		if fd == m.listener.fd {
			accepted, _ := m.acceptAll()
			got = accepted || got
			continue
		}
		m.mu.Lock()
		c := m.conns[fd]
		m.mu.Unlock()
		if c != nil {
			got = m.receive(c) || got
		}
	}
	return got
}
