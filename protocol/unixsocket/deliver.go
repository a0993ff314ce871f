//go:build unix

package unixsocket

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/protocol"
)

const (
	chunkSize = 1 << 16                // bytes of small frames that are copied into one write
	patience  = 250 * time.Millisecond // for a receiver that has room, or is in the middle of a frame
	redials   = 3                      // in one Deliver, to a peer that comes and goes
)

// Deliver gives frames to a peer.
func (m *Mailbox) Deliver(ctx context.Context, to string, frames []protocol.Frame, wait bool) (int, error) {
	n, err := m.deliver(ctx, to, frames, wait)
	if err != nil && m.closed.Load() {
		err = protocol.ErrClosed
	}
	return n, failed("deliver to", to, err)
}

func (m *Mailbox) deliver(ctx context.Context, to string, frames []protocol.Frame, wait bool) (n int, err error) {
	if err := m.usable(ctx); err != nil {
		return 0, err
	}
	for i := range frames {
		if size := len(frames[i].Data); size > m.frameLimit {
			return 0, fmt.Errorf("%w: %d bytes, the store allows %d", protocol.ErrTooLarge, size, m.frameLimit)
		}
	}
	l, err := m.link(to)
	if err != nil {
		return 0, err
	}
	defer m.done(l)
	if err := l.hold(ctx, m, wait); err != nil {
		return 0, err
	}
	defer l.free()
	if to == m.id {
		return m.deliverSelf(ctx, l, frames, wait)
	}
	lost := false // the peer was there, maybe when the call began
	for try := 0; ; try++ {
		known := l.conn != nil
		if !known {
			if err := m.reachPeer(ctx, l, wait); err != nil {
				if lost && (wait || n > 0) && errors.Is(err, protocol.ErrNoPeer) {
					err = fmt.Errorf("%w: it has left", protocol.ErrPeerGone)
				}
				return n, err
			}
		}
		k, err := m.transmit(ctx, l, frames[n:], wait)
		n += k
		if err == nil {
			return n, nil
		}
		// The peer may stand under its name again, in another life.
		again := errors.Is(err, errBroken) || known && errors.Is(err, protocol.ErrPeerGone)
		if again {
			l.unlink()
			lost = true
		}
		if !again || m.closed.Load() {
			return n, err
		}
		if try == redials {
			return n, fmt.Errorf("%w: it ends each connection", protocol.ErrPeerGone)
		}
	}
}

// chunks has the buffers that frames are copied into.
var chunks = sync.Pool{New: func() any { return new([]byte) }}

// transmit writes frames to the link's connection, in as few writes as
// possible.
func (m *Mailbox) transmit(ctx context.Context, l *link, frames []protocol.Frame, wait bool) (n int, err error) {
	if err := m.room(ctx, l, wait); err != nil {
		return 0, err
	}
	buf := chunks.Get().(*[]byte)
	l.buf = *buf
	defer func() {
		*buf, l.buf = l.buf, nil
		chunks.Put(buf)
	}()
	for n < len(frames) {
		if n > 0 && ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		tail := l.pack(frames[n:])
		k, err := m.write(ctx, l, tail, wait)
		if l.visitor != nil && k > 0 {
			size := 0
			for _, f := range frames[n : n+k] {
				size += len(f.Data)
			}
			l.visitor.Accepted(k, size)
		}
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// pack copies leading frames into the link's buffer, and notes where each ends.
// Of a large one it copies the header only and returns the rest.
func (l *link) pack(frames []protocol.Frame) (tail []byte) {
	l.buf, l.ends = l.buf[:0], l.ends[:0]
	for _, f := range frames {
		l.buf = binary.BigEndian.AppendUint32(l.buf, uint32(len(f.Data)))
		if len(f.Data) >= chunkSize {
			l.ends = append(l.ends, len(l.buf)+len(f.Data))
			return f.Data
		}
		l.buf = append(l.buf, f.Data...)
		l.ends = append(l.ends, len(l.buf))
		if len(l.buf) >= chunkSize {
			break
		}
	}
	return nil
}

// write writes the link's buffer and then tail, and says how many whole frames
// the kernel has taken. After an error that leaves a frame half written the
// connection is cut, so that the frame does not arrive.
func (m *Mailbox) write(ctx context.Context, l *link, tail []byte, wait bool) (n int, err error) {
	written := 0
	for _, piece := range [2][]byte{l.buf, tail} {
		for len(piece) > 0 {
			k, err := l.conn.send(piece)
			written += k
			piece = piece[k:]
			if err == unix.EAGAIN {
				err = m.drains(ctx, l, wait, l.between(written))
			}
			if err != nil {
				if !l.between(written) {
					l.conn.cut()
				}
				return l.whole(written), err
			}
		}
	}
	return len(l.ends), nil
}

// whole is how many frames end within the first written bytes.
func (l *link) whole(written int) int {
	n, found := slices.BinarySearch(l.ends, written)
	if found {
		n++
	}
	return n
}

// between says whether no frame is half written.
func (l *link) between(written int) bool {
	_, found := slices.BinarySearch(l.ends, written)
	return found || written == 0
}

// drains waits until the kernel has room for more. Without wait a foreign peer
// that does not read is full; one of ours has room as its gate has said, and is
// about to read.
func (m *Mailbox) drains(ctx context.Context, l *link, wait, between bool) error {
	if !wait && between && l.visitor == nil {
		return protocol.ErrFull
	}
	if !wait {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, patience, protocol.ErrFull)
		defer cancel()
	}
	defer m.sticks(l)()
	ctx, cancel := m.during(ctx)
	defer cancel()
	return l.conn.await(ctx)
}

// deliverSelf gives frames to the client itself, through memory.
func (m *Mailbox) deliverSelf(ctx context.Context, l *link, frames []protocol.Frame, wait bool) (int, error) {
	if l.visitor == nil {
		if err := m.visit(l, m.box); err != nil {
			return 0, err
		}
	}
	if err := m.room(ctx, l, wait); err != nil {
		return 0, err
	}
	size := 0
	for _, f := range frames {
		size += len(f.Data)
	}
	memory := make([]byte, 0, size)
	copies := make([][]byte, len(frames))
	for i, f := range frames {
		at := len(memory)
		memory = append(memory, f.Data...)
		copies[i] = memory[at:len(memory):len(memory)]
	}
	if !m.inbox.pushOwn(m.id, copies) {
		return 0, protocol.ErrPeerGone
	}
	l.visitor.Accepted(len(frames), size)
	m.poller.wake()
	return len(frames), nil
}
