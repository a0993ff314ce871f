package bbolt

import (
	"context"
	"errors"

	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Ack deletes messages from the mailbox's file.
func (m *mailbox) Ack(ctx context.Context, ds []protocol.Delivery) error {
	ctx, done, err := m.begin(ctx)
	if err != nil {
		return failed("acknowledge", m.id, err)
	}
	defer done()
	return failed("acknowledge", m.id, m.settle(ctx, ds))
}

// Reject sets a message aside and then deletes it.
func (m *mailbox) Reject(ctx context.Context, d protocol.Delivery, reason error) error {
	ctx, done, err := m.begin(ctx)
	if err != nil {
		return failed("reject", m.id, err)
	}
	defer done()
	if !m.holds(d.Tag) {
		return nil
	}
	if err := m.own.aside.Set("message", d.Data, reason); errors.Is(err, corrupt.ErrFull) {
		m.notice(err)
	} else if err != nil {
		return failed("reject", m.id, err)
	}
	return failed("reject", m.id, m.settle(ctx, []protocol.Delivery{d}))
}

func (m *mailbox) holds(n uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.out[n]
	return ok
}

// settle deletes those of ds that are fetched and not acknowledged.
func (m *mailbox) settle(ctx context.Context, ds []protocol.Delivery) error {
	ns, sizes := m.claim(ds)
	if len(ns) == 0 {
		return nil
	}
	err := m.own.write(ctx, func(l *ledger) error { return l.remove(ns) })
	if errors.Is(err, errDamaged) {
		err = nil // they are gone with the rest
	}
	bytes := 0
	if err == nil {
		for _, size := range sizes {
			bytes += size
		}
		m.keeper.Freed(len(ns), bytes)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acking--
	if err != nil {
		for i, n := range ns {
			m.out[n] = sizes[i]
		}
	}
	return err
}

// claim takes messages out of those that are fetched and not acknowledged, so
// that nobody else acknowledges them. Each claim that is not empty counts as an
// Ack under way.
func (m *mailbox) claim(ds []protocol.Delivery) (ns []uint64, sizes []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range ds {
		if size, ok := m.out[d.Tag]; ok {
			delete(m.out, d.Tag)
			ns = append(ns, d.Tag)
			sizes = append(sizes, size)
		}
	}
	if len(ns) > 0 {
		m.acking++
	}
	return ns, sizes
}
