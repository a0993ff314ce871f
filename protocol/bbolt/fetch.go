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
	if err := m.begin(ctx); err != nil {
		return 0, failed("fetch", m.id, err)
	}
	defer m.calls.Done()
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
		}
		if m.sealed.Load() {
			return 0, io.EOF
		}
		m.tidy(ctx)
		if !wait {
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

// tidy makes a file small that is large and has nothing in it any more.
func (m *mailbox) tidy(ctx context.Context) {
	if !m.swollen || m.holding() {
		return
	}
	m.swollen = false
	select {
	case m.recording <- struct{}{}:
		defer func() { <-m.recording }()
	case <-ctx.Done():
		return
	}
	if err := m.clean(ctx, nil); err != nil && ctx.Err() == nil {
		m.notice(err)
	}
}

// holding says whether messages were fetched that are not acknowledged.
func (m *mailbox) holding() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.out)+m.acking > 0
}

// sleep waits for something to read, for Seal, or for the end of the store or
// of the client. Whoever brings something finds the file free.
func (m *mailbox) sleep(ctx context.Context) error {
	m.own.rest()
	for !m.more() && !m.sealed.Load() {
		if err := m.keeper.Wait(ctx); err != nil {
			return err
		}
		if m.life.Err() != nil {
			return context.Cause(m.life)
		}
	}
	return nil
}

// haul is what one transaction has brought.
type haul struct {
	ds      []protocol.Delivery // what was there
	unfit   []uint64
	size    int
	next    uint64 // where to read on
	line    int    // how many of those put back were looked at
	looked  uint64 // not 0: there was nothing more up to here
	swollen bool
}

// take fills ds with what there is.
func (m *mailbox) take(ctx context.Context, ds []protocol.Delivery) (int, error) {
	if !m.more() || len(ds) == 0 {
		return 0, nil
	}
	var h haul
	err := again(func() error {
		return m.own.read(ctx, func(l *ledger) error {
			h = haul{ds: ds[:0:len(ds)], next: m.next, swollen: l.tx.Size() > swell}
			m.haul(&h, l)
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	if err := m.mark(h.ds); err != nil {
		return 0, err
	}
	m.line = m.line[h.line:]
	m.next = h.next
	m.looked = max(m.looked, h.looked)
	m.swollen = m.swollen || h.swollen
	m.mu.Lock()
	for _, d := range h.ds {
		m.out[d.Tag] = len(d.Data)
	}
	m.mu.Unlock()
	if len(h.unfit) > 0 {
		if err := m.refuse(ctx, h.unfit); err != nil {
			m.notice(err)
		}
	}
	return len(h.ds), nil
}

// mark puts on record what is about to be handed out.
func (m *mailbox) mark(ds []protocol.Delivery) error {
	most := m.handed
	for _, d := range ds {
		most = max(most, d.Tag)
	}
	if most == m.own.marks.Load(handed) {
		return nil
	}
	m.own.marks.Store(handed, most)
	if m.own.durable {
		if err := m.own.marks.sync(); err != nil {
			m.own.marks.Store(handed, m.handed) // so that the next Fetch syncs
			return err
		}
	}
	m.handed = most
	return nil
}

// haul reads what there is room for: first the messages that were put back,
// then the others in order.
func (m *mailbox) haul(h *haul, l *ledger) {
	most := limit(m.store.Settings().MaxFrame)
	add := func(n uint64, data []byte) bool {
		switch {
		case len(data) > most:
			h.unfit = append(h.unfit, n)
			return true
		case len(h.ds) == cap(h.ds), len(h.ds) > 0 && h.size+len(data) > fetchBytes:
			return false
		}
		h.ds = append(h.ds, protocol.Delivery{Data: data, Tag: n, Redelivered: n <= m.doubted || m.back[n]})
		h.size += len(data)
		return true
	}
	for ; h.line < len(m.line); h.line++ {
		n := m.line[h.line]
		if data := l.get(n); data != nil && !add(n, data) {
			break
		}
	}
	if h.line == len(m.line) && l.from(m.next, func(n uint64, data []byte) bool {
		if !m.back[n] && !add(n, data) {
			return false
		}
		h.next = n + 1
		return true
	}) {
		// The file is held, so nobody is between the word and the commit:
		// what the word says beyond the last message came to nothing.
		h.looked = l.last()
		m.own.marks.Store(tail, h.looked)
		m.recount(h)
	}
	h.copy()
}

// recount corrects what senders that were killed or failed have left in the
// count, when the mailbox is seen to be empty. Senders count while they hold the
// file.
func (m *mailbox) recount(h *haul) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(h.ds)+len(h.unfit)+len(m.out)+m.acking == 0 {
		m.keeper.Recount(0, 0)
	}
}

// copy copies what was read into one piece of memory: it is in the file, and
// valid until the transaction ends.
func (h *haul) copy() {
	slab := make([]byte, 0, h.size)
	for i := range h.ds {
		at := len(slab)
		slab = append(slab, h.ds[i].Data...)
		h.ds[i].Data = slab[at:len(slab):len(slab)]
	}
}

// refuse sets messages aside that are larger than any that was accepted.
func (m *mailbox) refuse(ctx context.Context, ns []uint64) error {
	var ds []protocol.Delivery
	err := again(func() error {
		return m.own.read(ctx, func(l *ledger) error {
			for _, n := range ns {
				data := l.get(n)
				reason := fmt.Errorf("%w: it has %d bytes", protocol.ErrTooLarge, len(data))
				m.notice(fmt.Errorf("message %d was set aside: %w", n, reason))
				if err := m.own.aside.Set("message", data, reason); err != nil {
					m.notice(err)
				}
				m.mu.Lock()
				m.out[n] = len(data)
				m.mu.Unlock()
				ds = append(ds, protocol.Delivery{Tag: n})
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return m.settle(ctx, ds)
}
