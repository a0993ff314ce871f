package bbolt

import (
	"context"
	"errors"
	"slices"

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

// round is what several Acks put on record together: those that come while
// another round is under way. One of them leads it.
type round struct {
	fetched []fetched     // guarded by the mailbox's mu until the round begins
	over    chan struct{} // closed when it is on record, or has failed with err
	err     error
}

// fetched is a message that was, and how large it is.
type fetched struct {
	n     uint64
	bytes int
}

func newRound() *round { return &round{over: make(chan struct{})} }

func (r *round) has(ds []protocol.Delivery) bool {
	return r != nil && slices.ContainsFunc(r.fetched, func(f fetched) bool {
		return slices.ContainsFunc(ds, func(d protocol.Delivery) bool { return d.Tag == f.n })
	})
}

// settle acknowledges those of ds that are fetched and not acknowledged. When
// ctx ends early, they may be acknowledged by a later round.
func (m *mailbox) settle(ctx context.Context, ds []protocol.Delivery) error {
	for {
		r, all := m.join(ds)
		if r == nil {
			return nil
		}
		led, err := m.finish(ctx, r)
		switch {
		case err == nil && all:
			return nil
		case err != nil && (led || ctx.Err() != nil):
			return err
		}
		// Some were in another's round, or the round failed, maybe because its
		// leader's context had ended.
	}
}

// join takes those of ds that are not acknowledged into the next round, and says
// whether all of them are in it. Otherwise it gives a round that has some of
// them already; nil: there is nothing left to acknowledge.
func (m *mailbox) join(ds []protocol.Delivery) (r *round, all bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.round.fetched)
	for _, d := range ds {
		if bytes, ok := m.out[d.Tag]; ok {
			delete(m.out, d.Tag)
			m.round.fetched = append(m.round.fetched, fetched{d.Tag, bytes})
		}
	}
	added := len(m.round.fetched) - before
	m.acking += added
	switch {
	case added > 0 || m.round.has(ds):
		return m.round, added == len(ds)
	case m.current.has(ds):
		return m.current, false
	}
	return nil, false
}

// finish waits for the end of a round, or leads it. That may take long: who
// writes receipts may wait for the file, behind a sender that is stopped.
func (m *mailbox) finish(ctx context.Context, r *round) (led bool, err error) {
	select {
	case m.recording <- struct{}{}:
		defer func() { <-m.recording }()
	case <-r.over:
		return false, r.err
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	select {
	case <-r.over:
		return false, r.err
	default:
	}
	m.mu.Lock()
	m.round, m.current = newRound(), r
	m.mu.Unlock()
	r.err = m.write(ctx, r.fetched)
	if r.err == nil {
		m.keeper.Freed(len(r.fetched), sum(r.fetched))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current = nil
	m.acking -= len(r.fetched)
	if r.err != nil {
		m.restore(r.fetched)
	}
	close(r.over)
	return true, r.err
}

// restore makes messages be fetched and not acknowledged again. mu is held.
func (m *mailbox) restore(fs []fetched) {
	for _, f := range fs {
		m.out[f.n] = f.bytes
	}
}

func sum(fs []fetched) (bytes int) {
	for _, f := range fs {
		bytes += f.bytes
	}
	return bytes
}

// write writes receipts, and puts them on disk if the mailbox is durable. Those
// that may not have come there are taken back. A sender that saw them may have
// deleted the messages by then: they may be acknowledged or not.
func (m *mailbox) write(ctx context.Context, fs []fetched) error {
	ns := make([]uint64, len(fs))
	for i, f := range fs {
		ns[i] = f.n
	}
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
