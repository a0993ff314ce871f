package ipcmgr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

func (c *client) Suspend(ctx context.Context, until time.Time) error {
	if !c.store.Features().Suspends {
		return c.errorTo("suspend", "", fmt.Errorf("%w: %s keeps no mailbox for who is away; use Disconnect", errors.ErrUnsupported, c.store.info.Protocol))
	}
	if err := c.stop(); err != nil {
		return c.errorTo("suspend", "", err)
	}
	defer local.remove(c)
	// What could not be acknowledged comes again, as after a crash. Whatever
	// fails, the client leaves: it has stopped, and nobody could make it.
	err := c.settleHandedOut(ctx)
	left := c.depart(context.WithoutCancel(ctx), protocol.Departure{Suspend: true, Until: until, Back: c.unsettled()})
	return c.errorTo("suspend", "", errors.Join(err, left, c.store.release()))
}

func (c *client) Disconnect(ctx context.Context, handler func(*Message) error) error {
	unread, err := c.disconnect(ctx, handler)
	err = c.errorTo("disconnect", "", err)
	if len(unread) > 0 {
		err = errors.Join(&UnreadError{ID: c.id, From: unread}, err)
	}
	return err
}

// disconnect tells what was unread and is gone, by sender.
func (c *client) disconnect(ctx context.Context, handler func(*Message) error) (unread map[string]int64, err error) {
	if err := c.stop(); err != nil {
		return nil, err
	}
	defer local.remove(c)
	unread, err = c.leave(ctx, handler)
	return unread, errors.Join(err, c.store.release())
}

// stop ends the calls under way and refuses new ones, so that the counts are
// final.
func (c *client) stop() error {
	c.in.mu.Lock()
	stopped := c.closing.Err() != nil
	c.close(ErrClosed)
	c.in.mu.Unlock()
	if stopped {
		return ErrClosed
	}
	c.in.wake.wake(ErrClosed)
	c.in.turn <- struct{}{} // for ever: nobody fetches but who leaves
	c.counting.Lock()       // until those who count have
	defer c.counting.Unlock()
	return nil
}

// settleHandedOut acknowledges what was handed out and not put back. What was
// lent is put back: nobody has said that it was done.
func (c *client) settleHandedOut(ctx context.Context) error {
	in := &c.in
	in.mu.Lock()
	out := slices.Clone(in.out)
	for _, m := range slices.Backward(out) {
		if m.state == handed && m.lent {
			in.putBack(m)
		}
	}
	for _, m := range out {
		if m.state == handed {
			in.settle(m)
		}
	}
	in.mu.Unlock()
	return c.flush(ctx)
}

// unsettled lists what must come marked when it is fetched again, the first
// first: what could not be put on record, what was put back, and what was
// marked already, also when the handler of Disconnect had it in hand.
func (c *client) unsettled() []protocol.Delivery {
	in := &c.in
	in.mu.Lock()
	defer in.mu.Unlock()
	var back []protocol.Delivery
	for _, r := range in.done {
		back = append(back, r.deliveries()...)
	}
	for _, m := range in.out {
		if m.state == handed && (m.Redelivered || m == in.failed) {
			back = append(back, m.run().deliveries()...)
		}
	}
	for _, m := range slices.Backward(in.back) {
		if m.state == ready {
			back = append(back, m.run().deliveries()...)
		}
	}
	for i := range in.ready {
		if m := &in.ready[i]; m.Redelivered {
			back = append(back, m.run().deliveries()...)
		}
	}
	return back
}

// leave is Disconnect once nothing is under way any more: seal, hand over or
// count what is there, and go.
func (c *client) leave(ctx context.Context, handler func(*Message) error) (unread map[string]int64, err error) {
	err = c.settleHandedOut(ctx)
	var handlerErr error
	if err == nil {
		err = c.mb.Seal(ctx)
	}
	if err == nil {
		unread, handlerErr, err = c.drain(ctx, handler)
	}
	d := c.farewell()
	if err != nil && c.store.Features().Suspends && d.Fold == nil {
		return nil, c.suspendInstead(ctx, errors.Join(err, handlerErr))
	}
	for from, n := range unread {
		c.counts.count(dropped, from, n)
	}
	return unread, errors.Join(err, handlerErr, c.depart(context.WithoutCancel(ctx), d))
}

// suspendInstead leaves a mailbox that could not be emptied as it is, so that
// nothing is lost.
func (c *client) suspendInstead(ctx context.Context, why error) error {
	err := c.depart(context.WithoutCancel(ctx), protocol.Departure{Suspend: true, Back: c.unsettled()})
	if err != nil {
		return errors.Join(why, err)
	}
	return fmt.Errorf("interrupted, and suspended instead, so that nothing is lost: %w", why)
}

// drain empties a sealed mailbox. What handler does not take is counted.
func (c *client) drain(ctx context.Context, handler func(*Message) error) (unread map[string]int64, handlerErr, err error) {
	unread = map[string]int64{}
	for {
		var taken hand
		for m := c.in.next(nil); m != nil; m = c.in.next(nil) {
			if m.terminate {
				continue
			}
			if handler != nil && handlerErr == nil {
				if handlerErr = handler(m); handlerErr == nil {
					taken.messages = append(taken.messages, m)
					continue
				}
				handlerErr = fmt.Errorf("the handler failed on message %s from %q: %w", m.ID, m.From, handlerErr)
				c.in.failed = m
			}
			unread[countedAs(m.From)]++
		}
		c.in.acknowledge(&taken)
		if err := c.flush(ctx); err != nil {
			return unread, handlerErr, err
		}
		_, strange, err := c.fetch(ctx, true)
		if errors.Is(err, io.EOF) {
			return unread, handlerErr, nil
		}
		if err != nil {
			return unread, handlerErr, err
		}
		for _, e := range strange {
			c.tellCorrupt(e)
		}
	}
}

// farewell is how the client leaves for good.
func (c *client) farewell() protocol.Departure {
	if name := countedAs(c.id); name != c.id {
		own := c.Stats()
		return protocol.Departure{Under: name, Fold: func(old []byte) ([]byte, error) {
			sum, err := decodeStats(c.store.ser, old)
			if err != nil { // nobody's counts keep a client from leaving
				sum = newStats()
				c.opts.log.Warn("ipcmgr: counting begins anew", "client", name, "store", c.store.info.Redacted(), "err", err)
			}
			sum.add(&own)
			return sum.encode(c.store.ser)
		}}
	}
	return protocol.Departure{}
}

// depart writes the last statistics and leaves. Nothing that was handed out lies
// in the store any more then, so it waits for those who decode, but not for ever.
func (c *client) depart(ctx context.Context, d protocol.Departure) error {
	reading, cancel := context.WithTimeout(ctx, lastThings)
	defer cancel()
	_ = c.in.awaitUnpinned(reading)
	stats := c.Stats()
	var err error
	if d.Stats, err = stats.encode(c.store.ser); err != nil {
		return err
	}
	c.publishes.Lock()
	defer c.publishes.Unlock()
	return c.mb.Leave(ctx, d)
}
