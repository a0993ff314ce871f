package bbolt

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// maxFrame is the most that bbolt keeps as one value, in bytes.
const maxFrame = 1<<31 - 2

// Deliver commits frames to a peer's file, all or none.
func (m *mailbox) Deliver(ctx context.Context, to string, frames []protocol.Frame, wait bool) (int, error) {
	size, err := m.measure(frames)
	if err != nil {
		return 0, failed("deliver", to, err)
	}
	if err = m.begin(ctx); err != nil {
		return 0, failed("deliver", to, err)
	}
	defer m.calls.Done()
	d := &delivering{mailbox: m, to: to, parcel: pack(frames), count: len(frames), size: size}
	defer d.parcel.free()
	// What is kept of a peer may be of an earlier life of its, so it is looked
	// for once more before it is said to be gone. A Deliver that has waited for
	// room has waited at one life, and ends with that.
	if err = d.once(ctx, false); errors.Is(err, protocol.ErrPeerGone) {
		err = d.once(ctx, false)
	}
	if wait && errors.Is(err, protocol.ErrFull) {
		err = d.once(ctx, true)
	}
	if err != nil {
		return 0, failed("deliver", to, err)
	}
	return len(frames), nil
}

// measure adds up the frames and refuses those that are too large.
func (m *mailbox) measure(frames []protocol.Frame) (size int, err error) {
	most := min(limit(m.store.Settings().MaxFrame), maxFrame)
	for _, f := range frames {
		if len(f.Data) > most {
			return 0, fmt.Errorf("%w: it has %d bytes, the store takes %d", protocol.ErrTooLarge, len(f.Data), most)
		}
		size += len(f.Data)
	}
	return size, nil
}

// delivering is one Deliver.
type delivering struct {
	*mailbox
	to     string
	parcel *parcel
	count  int
	size   int
}

// once tries it with the peer as it is known, or is found if it is not.
func (d *delivering) once(ctx context.Context, wait bool) error {
	p, err := d.visit(d.to)
	if err != nil {
		return err
	}
	defer d.leave(p)
	if err = d.admit(ctx, p, wait); err == nil {
		err = d.commit(ctx, p)
	}
	if errors.Is(err, errReplaced) {
		err = protocol.ErrPeerGone
	}
	if errors.Is(err, protocol.ErrPeerGone) {
		d.drop(d.to, p)
	}
	return err
}

func (d *delivering) admit(ctx context.Context, p *peer, wait bool) error {
	if wait {
		both, stop := either(ctx, d.life)
		defer stop()
		ctx = both
	}
	s := d.store.Settings()
	return p.visitor.Admit(ctx, limit(s.MaxPending), limit(s.MaxBytes), wait)
}

func (d *delivering) commit(ctx context.Context, p *peer) error {
	counted := false
	return p.file.do(&job{
		ctx:    ctx,
		writes: true,
		work: func(l *ledger) error {
			if p.visitor.Sealed() {
				return protocol.ErrPeerGone
			}
			l.add(d.parcel)
			// The reader is told before the commit: it looks when the file is
			// free, which it is after the commit, or after a kill in between.
			p.file.marks.Store(tail, l.last())
			p.visitor.Accepted(d.count, d.size)
			counted = true
			return nil
		},
		undo: func() {
			if counted {
				p.visitor.Accepted(-d.count, -d.size)
			}
		},
	})
}
