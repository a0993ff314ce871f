//go:build unix

package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/protocol"
)

const (
	patience = 250 * time.Millisecond // for a receiver that has room, or is in the middle of a frame
	redials  = 3                      // in one Deliver, to a peer that comes and goes
)

// Deliver gives frames to a peer.
func (m *Mailbox) Deliver(ctx context.Context, to string, frames []protocol.Frame, wait bool) (int, error) {
	n, err := m.deliver(ctx, to, frames, wait)
	if err != nil && m.closed.Load() {
		err = protocol.ErrClosed
	}
	return n, failed("deliver to", to, err)
}

func (m *Mailbox) deliver(ctx context.Context, to string, frames []protocol.Frame, wait bool) (int, error) {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if err := m.usable(ctx); err != nil {
		return 0, err
	}
	p := parcels.Get().(*parcel)
	defer func() {
		*p = parcel{fate: p.fate}
		parcels.Put(p)
	}()
	p.frames, p.wait = frames, wait
	for i := range frames {
		size := len(frames[i].Data)
		if size > m.frameLimit {
			return 0, fmt.Errorf("%w: %d bytes, the store allows %d", protocol.ErrTooLarge, size, m.frameLimit)
		}
		p.size += size
	}
	l, err := m.hold(ctx, to, p)
	if l != nil {
		err = m.carry(ctx, l, p)
		m.pass(l)
	}
	return p.next, err
}

// carry delivers a parcel over the link that its Deliver holds.
func (m *Mailbox) carry(ctx context.Context, l *link, p *parcel) error {
	if l.id == m.id {
		return m.carrySelf(ctx, l, p)
	}
	lost := false // the peer was there, maybe when the call began
	for try := 0; ; try++ {
		known := l.conn != nil
		if !known {
			if err := m.reachPeer(ctx, l, p.wait); err != nil {
				if lost && (p.wait || p.next > 0) && errors.Is(err, protocol.ErrNoPeer) {
					err = fmt.Errorf("%w: it has left", protocol.ErrPeerGone)
				}
				return err
			}
		}
		err := m.transmit(ctx, l, p)
		if err == nil {
			return nil
		}
		// The peer may stand under its name again, in another life.
		again := errors.Is(err, errBroken) || known && errors.Is(err, protocol.ErrPeerGone)
		if again {
			l.unlink()
			lost = true
		}
		if !again || m.closed.Load() {
			return err
		}
		if try == redials {
			return fmt.Errorf("%w: it ends each connection", protocol.ErrPeerGone)
		}
	}
}

// transmit writes a parcel to the link's connection. After an error that leaves
// a frame half written the connection is cut, so that the frame does not arrive.
func (m *Mailbox) transmit(ctx context.Context, l *link, p *parcel) error {
	if p.begun == 0 {
		if err := m.room(ctx, l, p.wait); err != nil {
			return err
		}
	}
	buf := chunks.Get().(*[]byte)
	defer chunks.Put(buf)
	for !p.whole() {
		if p.begun == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := m.write(l, p, buf)
		if err == unix.EAGAIN {
			err = m.awaitDrain(ctx, l, p)
		}
		if err != nil {
			if p.begun > 0 {
				l.conn.cut()
				p.begun = 0
			}
			return err
		}
	}
	return nil
}

// chunks has the buffers that frames are copied into.
var chunks = sync.Pool{New: func() any { return new([]byte) }}

// write makes one write of what is left of the holder's parcel and, if there is
// room, of what others bring.
func (m *Mailbox) write(l *link, p *parcel, buf *[]byte) error {
	piece := p.rest()
	if piece == nil {
		*buf = p.pack((*buf)[:0])
		if len(*buf) < chunkSize {
			m.takeAlong(l, p, len(*buf))
		}
		for _, other := range l.aboard {
			*buf = other.pack(*buf)
		}
		piece = (*buf)[p.begun:]
	}
	n, err := l.conn.send(piece)
	n = l.wrote(p, n)
	for i, other := range l.aboard {
		if n = l.wrote(other, n); !other.whole() {
			m.putBack(l, l.aboard[i:])
			break
		}
		other.fate <- carried
	}
	clear(l.aboard)
	l.aboard = l.aboard[:0]
	return err
}

// wrote counts n bytes for p, and returns how many of them are another's.
func (l *link) wrote(p *parcel, n int) int {
	left, msgs, bytes := p.wrote(n)
	if msgs > 0 && l.visitor != nil {
		l.visitor.Accepted(msgs, bytes)
	}
	return left
}

// awaitDrain waits until the kernel has room for more. Without wait a foreign peer
// that does not read is full; one of ours has room as its gate has said, and is
// about to read.
func (m *Mailbox) awaitDrain(ctx context.Context, l *link, p *parcel) error {
	if !p.wait && p.begun == 0 && l.visitor == nil {
		return protocol.ErrFull
	}
	if !p.wait {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, patience, protocol.ErrFull)
		defer cancel()
	}
	defer m.sticks(l)()
	ctx, cancel := m.during(ctx)
	defer cancel()
	return l.conn.await(ctx, unix.POLLOUT)
}

// carrySelf gives a parcel to the client itself, through memory.
func (m *Mailbox) carrySelf(ctx context.Context, l *link, p *parcel) error {
	if l.visitor == nil {
		if err := m.visit(l, m.box); err != nil {
			return err
		}
	}
	if err := m.room(ctx, l, p.wait); err != nil {
		return err
	}
	if !m.inbox.pushOwn(m.id, p.frames, p.size) {
		return protocol.ErrPeerGone
	}
	p.next = len(p.frames)
	l.visitor.Accepted(p.next, p.size)
	m.poller.wake()
	return nil
}
