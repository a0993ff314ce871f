//go:build linux && !ipcmgr_fallback

package shm

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipcmgr/ipcmgr/internal/step"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Deliver writes frames into the ring to a peer. They are one operation, unless
// they have more bytes than the ring has room: then each ring has a part.
func (m *mailbox) Deliver(ctx context.Context, to string, frames []protocol.Frame, wait bool) (int, error) {
	for i := range frames {
		if n := len(frames[i].Data); n > m.frameLimit {
			return 0, failed("deliver", to, fmt.Errorf("%w: %d bytes, at most %d are allowed", protocol.ErrTooLarge, n, m.frameLimit))
		}
	}
	for again := false; ; {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		p, err := m.peer(to)
		if err != nil {
			return 0, failed("deliver", to, err)
		}
		n, err := m.send(p, frames)
		switch {
		case err == nil:
			return n, nil
		case err == errStale:
			continue
		case wait && errors.Is(err, protocol.ErrFull):
			if err = m.await(ctx, p); err == nil {
				continue
			}
			// Who has waited has waited at one life of the peer, and ends with it.
			if errors.Is(err, protocol.ErrPeerGone) {
				m.forgetPeer(p)
			}
		case errors.Is(err, protocol.ErrPeerGone):
			m.forgetPeer(p)
			// It may have left and come back since it was found.
			if !again && n == 0 {
				again = true
				continue
			}
		}
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
			return n, cause
		}
		return n, failed("deliver", to, err)
	}
}

// errStale says that another goroutine found that the peer has gone.
var errStale = errors.New("stale")

func (m *mailbox) await(ctx context.Context, p *peer) error {
	m.waiting.RLock()
	defer m.waiting.RUnlock()
	if m.left.Load() {
		return protocol.ErrClosed
	}
	return p.wait(ctx)
}

// send writes frames while it has the peer to itself, so that each sender's are
// in order.
func (m *mailbox) send(p *peer, frames []protocol.Frame) (done int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.left.Load() {
		return 0, protocol.ErrClosed
	}
	if p.stale {
		return 0, errStale
	}
	if err := p.visitor.Admit(context.Background(), p.limits[0], p.limits[1], false); err != nil {
		return 0, err
	}
	if len(frames) > 0 && p.worn(span(len(frames[0].Data))) {
		p.finish()
	}
	for done < len(frames) {
		if p.out != nil {
			n, bytes, tail := p.out.put(frames[done:])
			step.Here("written")
			if n > 0 && p.out.publish(tail) {
				step.Here("published")
				p.tell(n, bytes)
				done += n
				continue
			}
			if n > 0 && p.out.tail.Load()&sealed != 0 {
				return done, fmt.Errorf("%w: it is leaving", protocol.ErrPeerGone)
			}
		}
		need := span(len(frames[done].Data))
		if err := m.begin(p, need); err != nil {
			return done, err
		}
	}
	return done, nil
}

// tell has the reader look at the ring.
func (p *peer) tell(msgs, bytes int) {
	p.out.marks.set(p.slot)
	step.Here("marked")
	p.visitor.Accepted(msgs, bytes)
	step.Here("told")
}

// worn says that another ring would be better: this one is too large for what is
// sent by now, or has passed as much as one can.
func (p *peer) worn(need uint64) bool {
	o := p.out
	return o != nil && (o.size() > roomy && o.idle(need) || o.end > farthest/2)
}
