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
	return m.settleWith("acknowledge", func() error { return m.client.acknowledgeNow(ctx, m) })
}

// Reject sets the message aside, with the reason, where a person finds it: a
// message on which a worker fails is not to make it fail for ever. It counts as
// rejected. ErrAcknowledged when it was acknowledged or rejected before.
func (m *Message) Reject(ctx context.Context, reason error) error {
	if reason == nil {
		reason = errors.New("no reason given")
	}
	return m.settleWith("reject", func() error {
		c := m.client
		if err := c.mb.Reject(ctx, m.delivery, reason); err != nil {
			return err
		}
		c.in.mu.Lock()
		m.forget()
		c.in.mu.Unlock()
		c.counts.count(rejected, m.From, 1)
		return nil
	})
}

// Requeue puts the message back: it is the next one to be handed out, marked
// as redelivered. It counts as not read. Of several that are put back, the last
// comes first. ErrAcknowledged when it was acknowledged or rejected.
//
// What is handed out then is another *Message. This one is of no use any more:
// whoever still has it must not settle the other's.
func (m *Message) Requeue() error {
	if m.client == nil {
		return errNotReceived("requeue")
	}
	return m.client.requeue(func(in *inbox) error {
		if m.state != handed {
			return m.stateError()
		}
		in.putBack(m)
		return nil
	})
}

func (c *client) RequeueAll() error {
	return c.requeue(func(in *inbox) error {
		for in.out.prev != &in.out {
			in.putBack(in.out.prev)
		}
		return nil
	})
}

// requeue runs what puts messages back, and wakes who would fetch others.
func (c *client) requeue(put func(*inbox) error) error {
	c.in.mu.Lock()
	err := error(ErrClosed)
	if c.closing.Err() == nil {
		err = put(&c.in)
	}
	c.in.mu.Unlock()
	if err == nil {
		c.in.wake.wake(errWoken)
	}
	return c.errorTo("requeue", "", err)
}

// putBack makes a message that was handed out the next one. in.mu is held.
func (in *inbox) putBack(m *Message) {
	in.unlink(m)
	again := *m
	again.state, again.Redelivered = ready, true
	in.back = append(in.back, &again)
	m.state = returned
	m.forget()
}

// settleWith runs what settles a message that was handed out. A client does
// not leave in the middle of it: what is on record is counted.
func (m *Message) settleWith(op string, do func() error) error {
	c := m.client
	if c == nil {
		return errNotReceived(op)
	}
	c.counting.RLock()
	defer c.counting.RUnlock()
	err := m.claim()
	if err == nil {
		if err = do(); err != nil {
			m.unclaim()
		}
	}
	return c.errorTo(op, "", err)
}

// claim takes the message out of those handed out.
func (m *Message) claim() error {
	c := m.client
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if c.closing.Err() != nil {
		return ErrClosed
	}
	if m.state != handed {
		return m.stateError()
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
	if m.state == returned {
		return fmt.Errorf("message %s from %q was put back", m.ID, m.From)
	}
	return fmt.Errorf("message %s from %q: %w", m.ID, m.From, ErrAcknowledged)
}

func errNotReceived(op string) error {
	return fmt.Errorf("%s: the message is not one that a client handed out", op)
}
