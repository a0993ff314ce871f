package bbolt

import (
	"context"
	"fmt"
	"io"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// fetchBytes is how much one Fetch hands out, unless its first message alone
// has more.
const fetchBytes = 1 << 20

// Fetch copies messages out of the mailbox's file.
func (m *mailbox) Fetch(ctx context.Context, ds []protocol.Delivery, wait bool) (int, error) {
	ctx, done, err := m.begin(ctx)
	if err != nil {
		return 0, failed("fetch", m.id, err)
	}
	defer done()
	for {
		n, err := m.take(ctx, ds)
		switch {
		case err != nil:
			return 0, failed("fetch", m.id, err)
		case n > 0:
			return n, nil
		case len(ds) == 0:
			return 0, nil
		case m.more(): // something unfit was set aside
			continue
		case m.sealed.Load():
			return 0, io.EOF
		case !wait:
			return 0, nil
		}
		if err := m.sleep(ctx); err != nil {
			return 0, failed("fetch", m.id, err)
		}
	}
}

// more says whether there may be something to read. Who has brought something
// set the word before it rang, and did both while it held the file: who looks
// now waits for its commit.
func (m *mailbox) more() bool {
	return len(m.line) > 0 || m.own.marks.Load(tail) > m.looked
}

// sleep waits for something to read, or for Seal. Whoever brings it finds the
// file free.
func (m *mailbox) sleep(ctx context.Context) error {
	m.own.rest()
	for !m.more() && !m.sealed.Load() {
		if err := m.keeper.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// haul is what one transaction has brought.
type haul struct {
	numbers []uint64
	views   [][]byte // into the file, until the transaction ends
	data    [][]byte // the copies
	unfit   []uint64
	size    int
	next    uint64 // where to read on
	line    int    // how many of those put back were looked at
	looked  uint64 // not 0: there was nothing more up to here
}

// take fills ds with what there is.
func (m *mailbox) take(ctx context.Context, ds []protocol.Delivery) (int, error) {
	if !m.more() || len(ds) == 0 {
		return 0, nil
	}
	var h *haul
	err := again(func() error {
		return m.own.read(ctx, func(l *ledger) error {
			h = m.haul(l, len(ds))
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	if err := m.mark(h); err != nil {
		return 0, err
	}
	m.line = m.line[h.line:]
	m.next = h.next
	m.looked = max(m.looked, h.looked)
	m.mu.Lock()
	for i, n := range h.numbers {
		m.out[n] = len(h.data[i])
		ds[i] = protocol.Delivery{
			Data:        h.data[i],
			Tag:         n,
			Redelivered: n <= m.doubted || m.back[n],
		}
	}
	m.mu.Unlock()
	return len(h.numbers), m.refuse(ctx, h.unfit)
}

// mark puts on record what is about to be handed out.
func (m *mailbox) mark(h *haul) error {
	for _, n := range h.numbers {
		m.handed = max(m.handed, n)
	}
	if m.handed == m.own.marks.Load(handed) {
		return nil
	}
	m.own.marks.Store(handed, m.handed)
	if m.own.durable {
		return syncMarks(m.own.box)
	}
	return nil
}

// haul reads at most max messages: first those that were put back, then the
// others in order.
func (m *mailbox) haul(l *ledger, max int) *haul {
	h := &haul{next: m.next}
	most := limit(m.store.Settings().MaxFrame)
	add := func(n uint64, data []byte) bool {
		switch {
		case len(data) > most:
			h.unfit = append(h.unfit, n)
			return true
		case len(h.numbers) == max, len(h.numbers) > 0 && h.size+len(data) > fetchBytes:
			return false
		}
		h.numbers = append(h.numbers, n)
		h.views = append(h.views, data)
		h.size += len(data)
		return true
	}
	full := false
	for ; h.line < len(m.line) && !full; h.line++ {
		n := m.line[h.line]
		if data := l.get(n); data != nil && !add(n, data) {
			full = true
			break
		}
	}
	if !full {
		end := l.from(m.next, func(n uint64, data []byte) bool {
			if !m.back[n] && !add(n, data) {
				return false
			}
			h.next = n + 1
			return true
		})
		if end {
			// The file is held, so nobody is between the word and the commit:
			// what the word says beyond the last message came to nothing.
			h.looked = l.last()
			m.own.marks.Store(tail, h.looked)
			m.recount(h)
		}
	}
	h.copy()
	return h
}

// recount corrects what senders that were killed have left in the count, when
// the mailbox is seen to be empty. Senders count while they hold the file.
func (m *mailbox) recount(h *haul) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(h.numbers)+len(h.unfit)+len(m.out)+m.acking > 0 {
		return
	}
	if messages, bytes := m.keeper.Pending(); messages != 0 || bytes != 0 {
		m.keeper.Recount(0, 0)
	}
}

// copy copies the views into one piece of memory.
func (h *haul) copy() {
	slab := make([]byte, 0, h.size)
	h.data = make([][]byte, len(h.views))
	for i, v := range h.views {
		at := len(slab)
		slab = append(slab, v...)
		h.data[i] = slab[at:len(slab):len(slab)]
	}
	h.views = nil
}

// refuse sets messages aside that are larger than any that was accepted.
func (m *mailbox) refuse(ctx context.Context, ns []uint64) error {
	if len(ns) == 0 {
		return nil
	}
	err := again(func() error {
		return m.own.write(ctx, func(l *ledger) error {
			for _, n := range ns {
				data := l.get(n)
				reason := fmt.Errorf("%w: it has %d bytes", protocol.ErrTooLarge, len(data))
				m.notice(fmt.Errorf("message %d was set aside: %w", n, reason))
				if err := m.own.aside.Set("message", data, reason); err != nil {
					m.notice(err)
				}
			}
			return l.remove(ns)
		})
	})
	return err
}
