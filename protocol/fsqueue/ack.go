package fsqueue

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Ack implements protocol.Mailbox. A file goes when all of its messages are
// acknowledged; until then, the ledger says which are.
func (m *mailbox) Ack(ctx context.Context, ds []protocol.Delivery) error {
	if err := m.begin(); err != nil {
		return err
	}
	defer m.end()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return m.fail("acknowledge", "", m.shelf.ack(ds, m.settings.Sync))
}

// Reject implements protocol.Mailbox.
func (m *mailbox) Reject(ctx context.Context, d protocol.Delivery, reason error) error {
	if err := m.begin(); err != nil {
		return err
	}
	defer m.end()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if reason == nil {
		reason = errors.New("rejected without a reason")
	}
	err := m.shelf.aside.Set("rejected", d.Data, reason)
	if errors.Is(err, corrupt.ErrFull) {
		m.notice(fmt.Errorf("a rejected message: %w", err)) // it must not come again for that
	} else if err != nil {
		return m.fail("reject", "", err)
	}
	return m.fail("reject", "", m.shelf.ack([]protocol.Delivery{d}, m.settings.Sync))
}

// ack forgets messages. Those that it could not record stay handed out. One
// that is not handed out is acknowledged already.
func (s *shelf) ack(ds []protocol.Delivery, sync bool) error {
	var errs []error
	removed, noted := false, false
	s.mu.Lock()
	for len(ds) > 0 {
		// Messages of one file come together, mostly.
		n := 1
		for n < len(ds) && ds[n].Tag>>indexBits == ds[0].Tag>>indexBits {
			n++
		}
		if l := s.letters[ds[0].Tag>>indexBits]; l != nil {
			gone, err := s.ackOf(l, ds[:n])
			if err != nil {
				errs = append(errs, err)
			}
			removed, noted = removed || gone, noted || !gone
		}
		ds = ds[n:]
	}
	s.mu.Unlock()
	if sync && noted {
		errs = append(errs, s.ledger.flush())
	}
	if sync && removed {
		errs = append(errs, s.flush())
	}
	return errors.Join(errs...)
}

// ackOf forgets messages of one file, and says whether that is gone with them.
func (s *shelf) ackOf(l *letter, ds []protocol.Delivery) (gone bool, err error) {
	acked, bytes := s.acked[:0], 0
	for i := range ds {
		if at := int(ds[i].Tag & indexMask); !l.done[at] {
			l.done[at] = true
			acked = append(acked, at)
			bytes += len(l.frames[at])
		}
	}
	s.acked = acked
	if len(acked) == 0 {
		return false, nil
	}
	gone = l.left == len(acked)
	if gone {
		err = s.remove(l.name)
	} else {
		err = s.ledger.acked(l.name, acked)
	}
	if err != nil {
		for _, at := range acked {
			l.done[at] = false
		}
		return false, err
	}
	l.left -= len(acked)
	s.msgs -= len(acked)
	s.bytes -= bytes
	if gone {
		delete(s.known, l.name)
		delete(s.letters, l.number)
		s.ledger.forget(l.name)
		l.free()
	}
	s.gate.Freed(len(acked), bytes)
	return gone, nil
}

// handed finds a message that is handed out and not acknowledged.
func (s *shelf) handed(tag uint64) (l *letter, at int, ok bool) {
	l, at = s.letters[tag>>indexBits], int(tag&indexMask)
	return l, at, l != nil && !l.done[at]
}
