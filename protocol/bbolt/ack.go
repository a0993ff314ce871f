package bbolt

import (
	"context"
	"errors"

	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Ack writes receipts for messages.
func (m *mailbox) Ack(ctx context.Context, ds []protocol.Delivery) error {
	if err := m.begin(ctx); err != nil {
		return failed("acknowledge", m.id, err)
	}
	defer m.calls.Done()
	return failed("acknowledge", m.id, m.settle(ctx, ds))
}

// Reject sets a message aside and then acknowledges it.
func (m *mailbox) Reject(ctx context.Context, d protocol.Delivery, reason error) error {
	if err := m.begin(ctx); err != nil {
		return failed("reject", m.id, err)
	}
	defer m.calls.Done()
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

// settle acknowledges those of ds that are fetched and not acknowledged.
func (m *mailbox) settle(ctx context.Context, ds []protocol.Delivery) error {
	ns, bytes := m.claim(ds)
	if len(ns) == 0 {
		return nil
	}
	err := m.record(ctx, ns)
	if err == nil {
		m.keeper.Freed(len(ns), bytes)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acking--
	if err == nil {
		return nil
	}
	for _, d := range ds { // ns is some of them, in their order
		if len(ns) > 0 && d.Tag == ns[0] {
			m.out[d.Tag] = len(d.Data)
			ns = ns[1:]
		}
	}
	return err
}

// claim takes messages out of those that are fetched and not acknowledged, so
// that nobody else acknowledges them. Each claim that is not empty counts as an
// Ack under way.
func (m *mailbox) claim(ds []protocol.Delivery) (ns []uint64, bytes int) {
	ns = make([]uint64, 0, len(ds))
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range ds {
		if size, ok := m.out[d.Tag]; ok {
			delete(m.out, d.Tag)
			ns = append(ns, d.Tag)
			bytes += size
		}
	}
	if len(ns) > 0 {
		m.acking++
	}
	return ns, bytes
}

// round is what several Acks put on record together: those that come while
// another one is at it.
type round struct {
	ns   []uint64
	done bool
	err  error
}

// record puts messages on record. One who finds that another's round failed has
// one of its own: the other's context may have ended.
func (m *mailbox) record(ctx context.Context, ns []uint64) error {
	for {
		r := m.join(ns)
		led, err := m.finish(ctx, r)
		if err == nil || led {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

func (m *mailbox) join(ns []uint64) *round {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.round.ns = append(m.round.ns, ns...)
	return m.round
}

// finish waits for a round, or leads it.
func (m *mailbox) finish(ctx context.Context, r *round) (led bool, err error) {
	m.recording.Lock()
	defer m.recording.Unlock()
	if r.done {
		return false, r.err
	}
	m.mu.Lock()
	m.round = new(round)
	m.mu.Unlock()
	r.done = true
	r.err = m.write(ctx, r.ns)
	return true, r.err
}

// write writes receipts, and puts them on disk if the mailbox is durable. Those
// that may not have come there are taken back. A sender that saw them may have
// deleted the messages by then: they may be acknowledged or not.
func (m *mailbox) write(ctx context.Context, ns []uint64) error {
	undo, ok := m.own.marks.acknowledge(ns)
	if !ok {
		return m.clean(ctx, ns)
	}
	if !m.own.durable {
		return nil
	}
	err := m.own.marks.sync()
	if err != nil {
		undo()
	}
	return err
}

// clean deletes all that is acknowledged from the file, with more messages that
// are, and so makes room for other receipts. The caller holds recording.
func (m *mailbox) clean(ctx context.Context, more []uint64) error {
	var all spans
	for _, n := range more {
		all = append(all, span{n, n})
	}
	all = append(all, m.own.marks.acknowledged()...).merge()
	err := m.own.write(ctx, func(l *ledger) error {
		l.forget(all)
		return nil
	})
	if errors.Is(err, errDamaged) {
		err = nil // they are gone with the rest
	}
	if err == nil {
		m.own.marks.Store(receipts, 0)
	}
	return err
}
