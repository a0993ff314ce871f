package fsqueue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// fetchBytes is what one Fetch returns at most, unless one message has more.
const fetchBytes = 1 << 20

// Fetch implements protocol.Mailbox.
func (m *mailbox) Fetch(ctx context.Context, ds []protocol.Delivery, wait bool) (int, error) {
	if err := m.begin(); err != nil {
		return 0, err
	}
	defer m.end()
	for len(ds) > 0 {
		switch {
		case ctx.Err() != nil:
			return 0, context.Cause(ctx)
		case m.left.Load():
			return 0, protocol.ErrClosed
		}
		// Asked for before the mailbox is looked at: all is there then.
		sealed := m.sealed.Load()
		if err := m.door.answer(ctx, m.shelf); err != nil {
			return 0, m.fail("fetch", "", err)
		}
		if m.gate.Heard() {
			m.shelf.listed = false
		}
		if wait && !sealed && m.shelf.empty() {
			if err := m.watch.sleep(ctx); err != nil {
				return 0, err
			}
			m.shelf.listed = false
			continue
		}
		n, err := m.shelf.fetch(ds)
		switch {
		case n > 0:
			m.watch.wake()
			return n, nil
		case err != nil:
			return 0, m.fail("fetch", "", err)
		case sealed:
			return 0, io.EOF
		case !wait:
			return 0, nil
		}
	}
	return 0, nil
}

// fetch hands out what is there. An error means that nothing is handed out. A
// file that does not fit as a whole is left for the next time, unless it is the
// first: what is acknowledged as a whole costs the ledger nothing.
func (s *shelf) fetch(ds []protocol.Delivery) (n int, err error) {
	bytes := 0
	s.opened = s.opened[:0]
	for n == 0 || len(s.queue) > 0 { // a listing costs more than what it may add is worth
		if len(s.queue) == 0 {
			before := s.gate.Tally()
			more, err := s.refill()
			if err != nil {
				return 0, err
			}
			if !more {
				s.recount(before)
				return 0, nil
			}
		}
		next := &s.queue[0]
		if n > 0 && (n+next.count > len(ds) || bytes+next.bytes > fetchBytes) {
			break
		}
		l, err := s.open(next)
		if err != nil && n == 0 {
			return 0, err
		}
		if err != nil {
			break
		}
		if l != nil {
			n, bytes = s.hand(l, ds, n, bytes)
			s.opened = append(s.opened, l)
			if l.taken < len(l.frames) {
				break
			}
		}
		s.queue = s.queue[1:]
	}
	if err := s.ledger.handed(s.opened); err != nil {
		// To stop here would keep a full disk full: nothing could be read, so
		// nothing removed.
		s.notice(fmt.Errorf("what is handed out is not on record, and would come again unmarked after a crash: %w", err))
	}
	return n, nil
}

// hand hands out the messages of one file, or as many as there is room for in
// ds, of which the first n, with so many bytes, are taken.
func (s *shelf) hand(l *letter, ds []protocol.Delivery, n, bytes int) (int, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; l.taken < len(l.frames); l.taken++ {
		if l.done[l.taken] {
			continue
		}
		data := l.frames[l.taken]
		if n == len(ds) || n > 0 && bytes+len(data) > fetchBytes {
			break
		}
		ds[n] = protocol.Delivery{Data: data, Tag: l.tag(l.taken), Redelivered: l.old.again(l.taken)}
		n++
		bytes += len(data)
		s.msgs++
		s.bytes += len(data)
	}
	return n, bytes
}

// open gives a file's letter, read. It is nil if there is nothing to hand out:
// the file is gone, is set aside, or was acknowledged already.
func (s *shelf) open(name *label) (*letter, error) {
	if l := s.inHand(name.name); l != nil {
		return l, nil // handed out in part
	}
	l, err := s.load(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		why := s.rubbish(name.name, err)
		if why == nil {
			return nil, err
		}
		s.setAside(name.name, why)
		return nil, nil
	}
	l.old = s.ledger.find(name.name)
	if rest, why := l.open(s.maxFrame); why != nil {
		if len(l.frames) == 0 {
			l.free()
			s.setAside(name.name, why)
			return nil, nil
		}
		err := s.aside.Set(name.name, rest, why)
		s.notice(errors.Join(fmt.Errorf("%s: the last %d bytes are set aside in %s: %w", name.name, len(rest), s.aside.Dir, why), err))
	}
	if l.left == 0 {
		// A holder was killed between recording the last acknowledgement and
		// removing the file.
		l.free()
		err := s.remove(name.name)
		if err == nil {
			s.ledger.forget(name.name)
		}
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	l.number = s.number
	s.known[l.name] = l
	s.letters[l.number] = l
	return l, nil
}

// load reads a file from wherever it lies.
func (s *shelf) load(name *label) (*letter, error) {
	var l *letter
	err := s.wherever(func(d disk.Dir) error {
		f, err := d.Open(name.name)
		if err != nil {
			return err
		}
		defer f.Close()
		if name.size() > fetchBytes/4 {
			// It must be that large before there is room made for it.
			info, err := f.Stat()
			if err == nil && info.Size != int64(name.size()) {
				err = fmt.Errorf("%w: %d bytes, not %d", errSize, info.Size, name.size())
			}
			if err != nil {
				return err
			}
		}
		l = newLetter(name.size() + 1)
		l.label = *name
		if err := l.load(f); err != nil {
			l.free()
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}
