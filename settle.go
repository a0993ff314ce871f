package ipcmgr

import (
	"context"
	"errors"
	"fmt"
)

// Ack acknowledges the message: it is on record when it returns, and is never
// handed out again. Messages may be acknowledged in any order.
// ErrAcknowledged when it was acknowledged or rejected before.
func (m *Message) Ack(ctx context.Context) error {
	if err := m.claim("acknowledge"); err != nil {
		return err
	}
	if err := m.client.acknowledgeNow(ctx, []*Message{m}); err != nil {
		m.unclaim()
		return m.client.errorTo("acknowledge", "", err)
	}
	return nil
}

// Reject sets the message aside, with the reason, where a person finds it: a
// message on which a worker fails is not to make it fail for ever. It counts as
// rejected. ErrAcknowledged when it was acknowledged or rejected before.
func (m *Message) Reject(ctx context.Context, reason error) error {
	if err := m.claim("reject"); err != nil {
		return err
	}
	if reason == nil {
		reason = errors.New("no reason given")
	}
	if err := m.client.mb.Reject(ctx, m.delivery, reason); err != nil {
		m.unclaim()
		return m.client.errorTo("reject", "", err)
	}
	m.client.counts.count(rejected, m.From, 1)
	return nil
}

// Requeue puts the message back: it is the next one to be handed out, marked
// as redelivered. It counts as not read. Of several that are put back, the last
// comes first. ErrAcknowledged when it was acknowledged or rejected.
func (m *Message) Requeue() error {
	if m.client == nil {
		return errNotReceived("requeue")
	}
	in := &m.client.in
	in.mu.Lock()
	if m.client.closing.Err() != nil {
		in.mu.Unlock()
		return m.client.errorTo("requeue", "", ErrClosed)
	}
	if m.state != handed {
		in.mu.Unlock()
		return m.client.errorTo("requeue", "", m.stateError())
	}
	in.unlink(m)
	m.state, m.Redelivered = ready, true
	in.back = append(in.back, m)
	in.mu.Unlock()
	in.wake.wake(errWoken)
	return nil
}

// claim takes the message out of those handed out.
func (m *Message) claim(op string) error {
	if m.client == nil {
		return errNotReceived(op)
	}
	c := m.client
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if c.closing.Err() != nil {
		return c.errorTo(op, "", ErrClosed)
	}
	if m.state != handed {
		return c.errorTo(op, "", m.stateError())
	}
	c.in.unlink(m)
	m.state = acknowledged
	return nil
}

// unclaim undoes claim: the protocol could not do it.
func (m *Message) unclaim() {
	in := &m.client.in
	in.mu.Lock()
	defer in.mu.Unlock()
	m.state = handed
	m.prev, m.next = in.out.prev, &in.out
	m.prev.next, m.next.prev = m, m
}

func (m *Message) stateError() error {
	if m.state == ready {
		return fmt.Errorf("message %s from %q was put back", m.ID, m.From)
	}
	return fmt.Errorf("message %s from %q: %w", m.ID, m.From, ErrAcknowledged)
}

func errNotReceived(op string) error {
	return fmt.Errorf("%s: the message is not one that a client handed out", op)
}
