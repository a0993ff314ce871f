package bbolt

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Seal closes the gate while it holds the file: a sender that commits later sees
// it.
func (m *mailbox) Seal(ctx context.Context) error {
	if err := m.begin(ctx); err != nil {
		return failed("seal", m.id, err)
	}
	defer m.calls.Done()
	err := again(func() error {
		return m.own.read(ctx, func(*ledger) error {
			m.keeper.Seal()
			return nil
		})
	})
	if err != nil {
		return failed("seal", m.id, err)
	}
	m.sealed.Store(true)
	m.keeper.Ring()
	return nil
}

// Leave ends the connection.
func (m *mailbox) Leave(ctx context.Context, d protocol.Departure) error {
	if ctx.Err() != nil {
		return failed("leave", m.id, context.Cause(ctx))
	}
	if !m.close() {
		return failed("leave", m.id, protocol.ErrClosed)
	}
	err := m.entry.Leave(ctx, d, func() error {
		if d.Suspend {
			return m.suspend(ctx, d)
		}
		return m.remove(ctx)
	})
	m.dispose()
	return err
}

// close ends every call under way. It returns false the second time.
func (m *mailbox) close() bool {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return false
	}
	m.closed = true
	m.mu.Unlock()
	m.end(protocol.ErrClosed)
	m.keeper.Ring()
	m.calls.Wait()
	m.mu.Lock()
	m.restore(m.round.fetched) // their Acks have ended early
	m.mu.Unlock()
	m.own.life = context.Background() // what follows is for Leave
	return true
}

// suspend leaves the mailbox to a successor.
func (m *mailbox) suspend(ctx context.Context, d protocol.Departure) error {
	line := m.lineUp(d.Back)
	if len(line)+len(m.back) > 0 {
		err := again(func() error {
			return m.own.write(ctx, func(l *ledger) error {
				l.setLine(line)
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	// Only now: until the line is committed, this word is all that is known.
	m.own.marks.Store(handed, 0)
	m.keeper.Suspend(d.Until)
	if m.own.durable {
		return errors.Join(m.own.marks.sync(), m.keeper.Sync())
	}
	return nil
}

// lineUp orders what comes before everything else: what is put back now, then
// what an earlier holder had put back and nobody has acknowledged.
func (m *mailbox) lineUp(back []protocol.Delivery) (line []uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range back {
		if _, ok := m.out[d.Tag]; ok {
			delete(m.out, d.Tag)
			line = append(line, d.Tag)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(m.out)) {
		if m.back[n] {
			line = append(line, n)
		}
	}
	return append(line, m.line...)
}

// remove leaves nothing. Those who wait for the file find that it is gone.
func (m *mailbox) remove(ctx context.Context) error {
	m.keeper.Seal()
	return m.own.alone(ctx, func() error {
		return m.store.at(func(s *site) error { return s.remove(ctx, m.entry.Key) })
	})
}

// abandon leaves the mailbox as a crash would.
func (m *mailbox) abandon() {
	if m.close() {
		m.dispose()
	}
	m.entry.Abandon() // or waits for a Leave that is under way
}

// dispose lets go of all that the client had open.
func (m *mailbox) dispose() {
	m.end(protocol.ErrClosed)
	for id, p := range m.peers {
		m.drop(id, p)
	}
	if m.own != nil {
		m.own.close()
	}
	if m.lobby != nil {
		m.lobby.Close()
	}
	if m.keeper != nil {
		m.keeper.Close()
	}
	if m.call != nil {
		m.call.Close()
		m.heard.Wait()
	}
}
