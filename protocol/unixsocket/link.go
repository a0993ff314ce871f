//go:build unix

package unixsocket

import (
	"context"
	"sync"

	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// link is the sending side towards one peer. One Deliver at a time holds it.
type link struct {
	id    string
	users int           // Delivers that have it or wait for it; guarded by the mailbox's mu
	held  chan struct{} // has a value while one has it

	// Below, what belongs to the holder.
	conn    *conn         // nil until there is one
	visitor *gate.Visitor // nil where the peer is foreign, and has no gate
	buf     []byte        // of one transmit
	ends    []int

	mu    sync.Mutex
	stuck bool          // the holder waits for the peer
	told  chan struct{} // closed when it begins to; nil if nobody listens
}

// link gives the one to a peer, until the caller is done with it.
func (m *Mailbox) link(id string) (*link, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed.Load() {
		return nil, protocol.ErrClosed
	}
	l := m.links[id]
	if l == nil {
		l = &link{id: id, held: make(chan struct{}, 1)}
		m.links[id] = l
	}
	l.users++
	return l, nil
}

// done gives l back. One without a connection is of no further use.
func (m *Mailbox) done(l *link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.users--; l.users == 0 {
		m.dropLink(l.id, l.conn)
	}
}

// dropLink forgets the link to a peer that nobody uses if its connection is c
// and has ended. The lock is held.
func (m *Mailbox) dropLink(id string, c *conn) {
	l := m.links[id]
	if l == nil || l.users > 0 || l.conn != c || id == m.id {
		return
	}
	if c == nil || c.broken.Load() {
		l.unlink()
		delete(m.links, id)
	}
}

// hold waits for the link. Without wait it does so only while its holder makes
// progress.
func (l *link) hold(ctx context.Context, m *Mailbox, wait bool) error {
	select {
	case l.held <- struct{}{}:
		return nil
	default:
	}
	var stuck <-chan struct{}
	if !wait {
		stuck = l.whenStuck()
	}
	select {
	case l.held <- struct{}{}:
		return nil
	case <-stuck:
		return protocol.ErrFull
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-m.over.Done():
		return context.Cause(m.over)
	}
}

func (l *link) free() { <-l.held }

func (l *link) whenStuck() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told == nil {
		l.told = make(chan struct{})
		if l.stuck {
			close(l.told)
		}
	}
	return l.told
}

// sticks says that the holder waits, until the function returned is called.
// Meanwhile the pump does not rest: the peer may wait in turn for this client.
func (m *Mailbox) sticks(l *link) (moves func()) {
	l.mu.Lock()
	l.stuck = true
	if l.told == nil {
		l.told = make(chan struct{})
	}
	close(l.told)
	l.mu.Unlock()
	m.blocked.Add(1)
	m.kick()
	return func() {
		m.blocked.Add(-1)
		l.mu.Lock()
		l.stuck, l.told = false, nil
		l.mu.Unlock()
	}
}

// unlink forgets the connection and the gate, for better ones.
func (l *link) unlink() {
	l.conn = nil
	if l.visitor != nil {
		l.visitor.Close()
		l.visitor = nil
	}
}

// room waits for room at the peer's gate.
func (m *Mailbox) room(ctx context.Context, l *link, wait bool) error {
	if l.visitor == nil {
		return nil
	}
	err := l.visitor.Admit(ctx, m.msgLimit, m.byteLimit, false)
	if err == protocol.ErrFull && l.conn != nil && l.conn.ended() {
		return errBroken // the gate of a crashed peer stays as full as it was
	}
	if err != protocol.ErrFull || !wait {
		return err
	}
	defer m.sticks(l)()
	ctx, cancel := m.during(ctx)
	defer cancel()
	if l.conn != nil {
		var broken context.CancelCauseFunc
		ctx, broken = context.WithCancelCause(ctx)
		var watch sync.WaitGroup
		defer watch.Wait()
		defer broken(nil)
		watch.Go(func() { broken(l.conn.hangup(ctx)) })
	}
	return l.visitor.Admit(ctx, m.msgLimit, m.byteLimit, true)
}
