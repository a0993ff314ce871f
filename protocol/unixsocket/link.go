//go:build unix

package unixsocket

import (
	"context"
	"slices"
	"sync"

	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// link is the sending side towards one peer. One Deliver at a time holds it, and
// the others queue: each holds it in turn, unless what it brings was taken along
// before.
type link struct {
	id string

	// Guarded by the mailbox's mu.
	held  bool
	stuck bool // the holder waits for the peer
	queue []*parcel

	// Below, what belongs to the holder, and to who has mu while nobody holds it.
	conn    *conn         // nil until there is one
	visitor *gate.Visitor // nil where the peer is foreign, and has no gate
	aboard  []*parcel     // taken along by the write under way
}

// hold waits until p's Deliver holds the link to a peer, or returns nil when
// another one has delivered p.
func (m *Mailbox) hold(ctx context.Context, to string, p *parcel) (*link, error) {
	l, mine, err := m.join(to, p)
	if mine || err != nil {
		return l, err
	}
	var end fate
	err = protocol.ErrFull
	select {
	case end = <-p.fate:
	case <-ctx.Done():
		m.withdraw(l, p)
		end, err = <-p.fate, context.Cause(ctx)
	case <-m.over.Done():
		m.withdraw(l, p)
		end, err = <-p.fate, context.Cause(m.over)
	}
	switch end {
	case carried:
		return nil, nil
	case refused:
		return nil, err
	}
	return l, nil
}

// join makes p the holder of the link to a peer, or puts it into the queue.
func (m *Mailbox) join(to string, p *parcel) (l *link, mine bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l = m.links[to]
	if l == nil {
		l = &link{id: to}
		m.links[to] = l
	}
	if !l.held {
		l.held = true
		return l, true, nil
	}
	if l.stuck && !p.wait {
		return nil, false, protocol.ErrFull
	}
	l.queue = append(l.queue, p)
	return l, false, nil
}

// withdraw takes p out of the queue. If it is aboard, that is done when it comes
// back; if a frame of it is begun, p is the next to hold the link.
func (m *Mailbox) withdraw(l *link, p *parcel) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.gone = true
	l.refuse(isGone)
}

// refuse takes parcels out of the queue, unless a frame of theirs is begun. The
// lock is held.
func (l *link) refuse(which func(*parcel) bool) {
	l.queue = slices.DeleteFunc(l.queue, func(p *parcel) bool {
		out := p.begun == 0 && which(p)
		if out {
			p.fate <- refused
		}
		return out
	})
}

// takeAlong takes aboard what waits in the queue, as far as it fits into the
// holder's write, of which used bytes are taken, and into the peer's mailbox.
func (m *Mailbox) takeAlong(l *link, p *parcel, used int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	msgs, bytes, n := len(p.frames), p.size, 0
	for _, other := range l.queue {
		used += other.size + headerSize*len(other.frames)
		if used > chunkSize || l.visitor != nil && l.visitor.Admit(m.over, m.msgLimit-msgs, m.byteLimit-bytes, false) != nil {
			break
		}
		msgs += len(other.frames)
		bytes += other.size
		n++
	}
	if n > 0 {
		l.aboard = append(l.aboard, l.queue[:n]...)
		l.queue = slices.Delete(l.queue, 0, n)
	}
}

// putBack makes parcels that were aboard the first in the queue again.
func (m *Mailbox) putBack(l *link, ps []*parcel) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.queue = slices.Insert(l.queue, 0, ps...)
	l.refuse(isGone)
}

// pass gives the link to the next.
func (m *Mailbox) pass(l *link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(l.queue) > 0 {
		l.queue[0].fate <- holds
		l.queue = slices.Delete(l.queue, 0, 1)
		return
	}
	l.held = false
	m.dropLink(l)
}

// dropLink forgets a link that nobody holds and whose connection has ended. The
// lock is held.
func (m *Mailbox) dropLink(l *link) {
	if !l.held && l.id != m.id && (l.conn == nil || l.conn.broken.Load()) {
		l.unlink()
		delete(m.links, l.id)
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

// sticks says that the holder waits, until the function returned is called. Who
// may not wait is refused meanwhile, and the pump does not rest: the peer may
// wait in turn for this client.
func (m *Mailbox) sticks(l *link) (moves func()) {
	m.mu.Lock()
	l.stuck = true
	l.refuse(func(p *parcel) bool { return !p.wait })
	m.mu.Unlock()
	m.blocked.Add(1)
	m.kick()
	return func() {
		m.blocked.Add(-1)
		m.mu.Lock()
		l.stuck = false
		m.mu.Unlock()
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
