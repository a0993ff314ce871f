package ipcmgr

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Ack acknowledges the message: it is on record when it returns, and is never
// handed out again. Messages may be acknowledged in any order.
// ErrAcknowledged when it was acknowledged or rejected before.
func (m *Message) Ack(ctx context.Context) error {
	return m.settleWith("acknowledge", func() error { return m.batch.client.record(ctx, m.run()) })
}

// Reject sets the message aside, with the reason, where a person finds it: a
// message on which a worker fails is not to make it fail for ever. It counts as
// rejected. ErrAcknowledged when it was acknowledged or rejected before.
func (m *Message) Reject(ctx context.Context, reason error) error {
	if reason == nil {
		reason = errors.New("no reason given")
	}
	return m.settleWith("reject", func() error {
		c := m.batch.client
		if err := c.in.awaitUnpinned(ctx, m.run()); err != nil {
			return err
		}
		if err := c.mb.Reject(ctx, m.batch.deliveries[m.slot], reason); err != nil {
			return err
		}
		c.in.mu.Lock()
		c.in.forget(m.run())
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
	if m.batch == nil {
		return errNotReceived("requeue")
	}
	return m.batch.client.requeue(func(in *inbox) error {
		if m.state != handed {
			return m.stateError()
		}
		in.putBack(m)
		return nil
	})
}

// HandOn is for who passes on what Next gave it, as Receive would hand it out:
// from now on, who leaves acknowledges the message, unless it is put back. It
// says whether the next call of its receiver is to do so, too: not with
// ManualAck.
func (m *Message) HandOn() (implicit bool) {
	if m.batch == nil {
		return false
	}
	c := m.batch.client
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	m.lent = false
	return !c.opts.manual
}

func (c *client) RequeueAll() error {
	return c.requeue(func(in *inbox) error {
		for _, m := range slices.Backward(slices.Clone(in.out)) {
			if m.state == handed {
				in.putBack(m)
			}
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
	again := *m
	again.state, again.Redelivered, again.lent = ready, true, false
	in.back = append(in.back, &again)
	in.takeBack(m, returned)
}

// settleWith runs what settles a message that was handed out. A client does
// not leave in the middle of it: what is on record is counted.
func (m *Message) settleWith(op string, do func() error) error {
	if m.batch == nil {
		return errNotReceived(op)
	}
	c := m.batch.client
	c.counting.RLock()
	defer c.counting.RUnlock()
	err := c.claim(m)
	if err == nil {
		if err = do(); err != nil { // the protocol could not do it
			c.in.mu.Lock()
			c.in.handOut(m)
			c.in.mu.Unlock()
		}
	}
	return c.errorTo(op, "", err)
}

// claim takes a message out of those handed out.
func (c *client) claim(m *Message) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if c.closing.Err() != nil {
		return ErrClosed
	}
	if m.state != handed {
		return m.stateError()
	}
	c.in.takeBack(m, acknowledged)
	return nil
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
