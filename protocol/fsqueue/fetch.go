package fsqueue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

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
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		// Asked for before the mailbox is looked at: all is there then.
		sealed := m.sealed.Load()
		if err := m.door.answer(ctx, m.shelf); err != nil {
			return 0, m.fail("fetch", "", err)
		}
		n, err := m.shelf.fetch(ds)
		if n > 0 {
			m.watch.wake()
			return n, nil
		}
		switch {
		case err != nil:
			return 0, m.fail("fetch", "", err)
		case sealed:
			return 0, io.EOF
		case !wait:
			return 0, nil
		}
		if err := m.watch.sleep(ctx); err != nil {
			return 0, err
		}
		if m.left.Load() {
			return 0, protocol.ErrClosed
		}
	}
	return 0, nil
}

// fetch hands out what is there. An error means that nothing is handed out.
func (s *shelf) fetch(ds []protocol.Delivery) (int, error) {
	b := batch{shelf: s, ds: ds}
	for b.n < len(ds) && b.bytes < fetchBytes {
		if len(s.queue) == 0 {
			if b.n > 0 {
				break // a listing costs more than what it may add is worth
			}
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
		whole, err := b.take(&s.queue[0])
		if err != nil && b.n == 0 {
			return 0, err
		}
		if err != nil || !whole {
			break
		}
		s.queue = s.queue[1:]
	}
	if err := s.ledger.handed(b.letters); err != nil {
		// To stop here would keep a full disk full: nothing could be read, so
		// nothing removed.
		s.notice(fmt.Errorf("what is handed out is not on record, and would come again unmarked after a crash: %w", err))
	}
	return b.n, nil
}

// batch is what one fetch hands out.
type batch struct {
	*shelf
	ds      []protocol.Delivery
	n       int
	bytes   int
	slab    []byte // room for small files
	letters []*letter
}

// take hands out the messages of one file, or as many as there is room for, and
// says whether these were all.
func (b *batch) take(name *label) (whole bool, err error) {
	l, err := b.open(name)
	if err != nil || l == nil {
		return true, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.n
	for ; l.taken < len(l.frames); l.taken++ {
		if l.done[l.taken] {
			continue
		}
		data := l.frames[l.taken]
		if b.n == len(b.ds) || b.n > 0 && b.bytes+len(data) > fetchBytes {
			break
		}
		b.tag++
		b.handed[b.tag] = slip{l, l.taken}
		b.ds[b.n] = protocol.Delivery{Data: data, Tag: b.tag, Redelivered: l.old.again(l.taken)}
		b.n++
		b.bytes += len(data)
		b.shelf.bytes += len(data)
	}
	if b.n > before {
		b.letters = append(b.letters, l)
	}
	return l.taken == len(l.frames), nil
}

// open gives a file's letter, read. It is nil if there is nothing to hand out:
// the file is gone, is set aside, or was acknowledged already.
func (b *batch) open(name *label) (*letter, error) {
	b.mu.Lock()
	l := b.known[name.name]
	b.mu.Unlock()
	if l != nil {
		return l, nil // handed out in part
	}
	// What cannot be handed out now is not read twice.
	if b.n > 0 && b.bytes+name.bytes > fetchBytes {
		return nil, errNoRoom
	}
	data, err := b.room(name)
	if err == nil {
		err = b.load(name.name, name.size(), data)
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		why := b.rubbish(name.name, err)
		if why == nil {
			return nil, err
		}
		b.setAside(name.name, why)
		return nil, nil
	}
	l = &letter{label: *name, old: b.ledger.find(name.name)}
	size := name.size()
	if rest, why := l.read(data[:size:size], b.maxFrame); why != nil {
		if len(l.frames) == 0 {
			b.setAside(name.name, why)
			return nil, nil
		}
		err := b.aside.Set(name.name, rest, why)
		b.notice(errors.Join(fmt.Errorf("%s: the last %d bytes are set aside in %s: %w", name.name, len(rest), b.aside.Dir, why), err))
	}
	if l.left == 0 {
		// A holder was killed between recording the last acknowledgement and
		// removing the file.
		b.ledger.forget(name.name)
		return nil, b.remove(name.name)
	}
	b.mu.Lock()
	b.known[name.name] = l
	b.mu.Unlock()
	return l, nil
}

var errNoRoom = errors.New("no more room in this batch")

// room gives room for one file and a byte. Small files share a slab, which is
// as large as what is likely to be handed out with them; a large one must be
// what its name says first.
func (b *batch) room(name *label) ([]byte, error) {
	size := name.size() + 1
	if size > fetchBytes/4 {
		if err := b.measure(name.name, name.size()); err != nil {
			return nil, err
		}
		return make([]byte, size), nil
	}
	if len(b.slab) < size {
		want, files := 0, min(len(b.queue), len(b.ds)-b.n)
		for i := range files {
			if want += b.queue[i].size(); want > fetchBytes {
				break
			}
		}
		b.slab = make([]byte, min(want, fetchBytes)+1)
		if len(b.slab) < size {
			b.slab = make([]byte, size)
		}
	}
	room := b.slab[:size]
	// The byte more is only there to see that a file does not have it.
	b.slab = b.slab[size-1:]
	return room, nil
}
