package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/ipcmgr/ipcmgr/internal/process"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// fetchBytes is how much one Fetch hands out.
const fetchBytes = 1 << 20

// self is the process of every client here.
var self = process.Self()

// client is one Connect.
type client struct {
	h     *handle
	id    string
	epoch uint64
	found protocol.State
	box   *mailbox
	attrs map[string]string // as they were before this Connect
	stats []byte

	arrived chan struct{} // holds one token when the mailbox has changed since the last look
	over    chan struct{} // closed under the store's lock, when why is set
	why     error
}

func (c *client) Epoch() uint64         { return c.epoch }
func (c *client) Found() protocol.State { return c.found }

func (c *client) Left() (map[string]string, []byte) {
	return maps.Clone(c.attrs), bytes.Clone(c.stats)
}

// begin takes the store's lock, unless it returns why the client is of no use.
func (c *client) begin(ctx context.Context, op string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.h.st.mu.Lock()
	if c.why == nil {
		return nil
	}
	c.h.st.mu.Unlock()
	return failed(op, c.id, c.why)
}

// finish ends the client and every call of it that blocks.
func (c *client) finish(why error) {
	c.why = why
	close(c.over)
}

// wake makes a blocked Fetch look again.
func (c *client) wake() {
	select {
	case c.arrived <- struct{}{}:
	default:
	}
}

func (c *client) Deliver(ctx context.Context, to string, frames []protocol.Frame, wait bool) (int, error) {
	st := c.h.st
	if max := st.settings.MaxFrame; max > 0 {
		for _, f := range frames {
			if len(f.Data) > max {
				return 0, failed("deliver", to, fmt.Errorf("%w: it has %d bytes, the store takes %d", protocol.ErrTooLarge, len(f.Data), max))
			}
		}
	}
	if err := c.begin(ctx, "deliver"); err != nil {
		return 0, err
	}
	b := st.mailboxes[to]
	err := error(protocol.ErrNoPeer)
	if b != nil {
		err = b.refuses()
	}
	if err != nil {
		st.mu.Unlock()
		return 0, failed("deliver", to, err)
	}
	if len(b.senders) == 0 && !b.full() {
		b.accept(c.id, frames)
		st.mu.Unlock()
		return len(frames), nil
	}
	if !wait {
		st.mu.Unlock()
		return 0, failed("deliver", to, protocol.ErrFull)
	}
	s := &sender{from: c.id, frames: frames, done: make(chan struct{})}
	b.senders = append(b.senders, s)
	st.mu.Unlock()
	return c.await(ctx, b, s)
}

// await waits for the mailbox's decision about s. One that is taken before s is
// withdrawn counts, whatever else has ended.
func (c *client) await(ctx context.Context, b *mailbox, s *sender) (int, error) {
	var cut error
	select {
	case <-s.done:
	case <-ctx.Done():
		cut = context.Cause(ctx)
	case <-c.over:
		cut = failed("deliver", b.id, c.why)
	}
	b.st.mu.Lock()
	defer b.st.mu.Unlock()
	select {
	case <-s.done:
	default:
		b.senders = slices.DeleteFunc(b.senders, func(o *sender) bool { return o == s })
		return 0, cut
	}
	if s.err != nil {
		return 0, failed("deliver", b.id, s.err)
	}
	return len(s.frames), nil
}

func (c *client) Fetch(ctx context.Context, ds []protocol.Delivery, wait bool) (int, error) {
	for {
		if err := c.begin(ctx, "fetch"); err != nil {
			return 0, err
		}
		n := c.box.fetch(ds, fetchBytes)
		drained := c.box.sealed && len(c.box.ready) == 0
		c.h.st.mu.Unlock()
		switch {
		case n > 0:
			return n, nil
		case drained:
			return 0, io.EOF
		case !wait || len(ds) == 0:
			return 0, nil
		}
		select {
		case <-c.arrived:
		case <-c.over:
		case <-ctx.Done():
		}
	}
}

func (c *client) Ack(ctx context.Context, ds []protocol.Delivery) error {
	if err := c.begin(ctx, "acknowledge"); err != nil {
		return err
	}
	defer c.h.st.mu.Unlock()
	for _, d := range ds {
		c.box.settle(d.Tag)
	}
	c.box.admit()
	return nil
}

func (c *client) Reject(ctx context.Context, d protocol.Delivery, reason error) error {
	if err := c.begin(ctx, "reject"); err != nil {
		return err
	}
	defer c.h.st.mu.Unlock()
	if m, ok := c.box.handed[d.Tag]; ok {
		c.h.st.reject(Rejection{ID: c.id, From: m.from, Data: m.data, Reason: reason})
		c.box.settle(d.Tag)
		c.box.admit()
	}
	return nil
}

func (c *client) Publish(ctx context.Context, attrs map[string]string, stats []byte) error {
	if err := c.begin(ctx, "publish"); err != nil {
		return err
	}
	defer c.h.st.mu.Unlock()
	c.record(stats)
	if !maps.Equal(c.box.attrs, attrs) {
		c.box.attrs = maps.Clone(attrs)
		c.h.st.change()
	}
	return nil
}

// record keeps statistics; nil leaves those that are there.
func (c *client) record(stats []byte) {
	if stats != nil {
		c.h.st.note(c.id).stats = bytes.Clone(stats)
	}
}

func (c *client) Seal(ctx context.Context) error {
	if err := c.begin(ctx, "seal"); err != nil {
		return err
	}
	defer c.h.st.mu.Unlock()
	c.box.sealed = true
	c.box.admit()
	c.wake()
	return nil
}

func (c *client) Leave(ctx context.Context, d protocol.Departure) error {
	if err := c.begin(ctx, "leave"); err != nil {
		return err
	}
	defer c.h.st.mu.Unlock()
	if d.Fold != nil {
		if err := c.fold(d); err != nil {
			c.box.crash()
			return failed("leave", c.id, err)
		}
	} else {
		c.record(d.Stats)
	}
	c.finish(protocol.ErrClosed)
	if d.Suspend {
		c.box.suspend(d)
	} else {
		c.h.st.forget(c.box)
	}
	return nil
}

// fold leaves what the client counted under another name, and no trace of its
// own.
func (c *client) fold(d protocol.Departure) error {
	var old []byte
	if r := c.h.st.records[d.Under]; r != nil {
		old = r.stats
	}
	stats, err := d.Fold(bytes.Clone(old))
	if err != nil {
		return err
	}
	c.h.st.note(d.Under).stats = bytes.Clone(stats)
	delete(c.h.st.records, c.id)
	return nil
}
