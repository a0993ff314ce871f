package ipcmgr

import (
	"context"
	"fmt"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/race"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// fetch makes more messages ready. What is not a message is set aside and
// returned. Only who holds the turn may fetch.
func (c *client) fetch(ctx context.Context, wait bool) (n int, strange []*CorruptError, err error) {
	b := c.in.room(c)
	n, err = c.mb.Fetch(ctx, b.deliveries[b.used:], wait)
	race.Acquire()
	if err != nil {
		return 0, nil, err
	}
	return n, c.take(ctx, b, n), nil
}

// take decodes n deliveries that were fetched into a batch.
func (c *client) take(ctx context.Context, b *batch, n int) (strange []*CorruptError) {
	first, end := b.used, b.used+n
	next := first
	for i := first; i < end; i++ {
		if next < i { // what was set aside leaves no gap
			b.deliveries[next] = b.deliveries[i]
		}
		if err := c.open(b, next); err != nil {
			strange = append(strange, c.setAside(ctx, b.deliveries[next], err))
			continue
		}
		next++
	}
	clear(b.deliveries[next:end])
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	b.used = next
	b.open += next - first
	c.in.ready = b.messages[first:next]
	return strange
}

// open decodes the delivery in a slot into the message there.
func (c *client) open(b *batch, slot int) error {
	in := &c.in
	d, env, m := &b.deliveries[slot], &in.env, &b.messages[slot]
	if err := c.store.ser.ParseEnvelope(d.Data, env); err != nil {
		return err
	}
	if string(env.From) != in.from {
		if err := in.sender(env.From); err != nil {
			return err
		}
	}
	if d.From != "" && d.From != in.from {
		return fmt.Errorf("it claims to be from %q, but %q sent it", in.from, d.From)
	}
	if len(env.Content) > c.store.max {
		return fmt.Errorf("%w: its content has %d bytes", ErrTooLarge, len(env.Content))
	}
	from := in.ids.Len()
	in.ids.Write(env.ID)
	b.contents[slot] = env.Content
	m.ID, m.From, m.To, m.Time = in.ids.String()[from:], in.from, c.id, time.UnixMicro(env.Micros)
	m.Broadcast, m.Redelivered = env.Broadcast, d.Redelivered
	m.terminate = isTerminate(c.store.ser, env.Content)
	m.state, m.slot, m.batch = ready, uint16(slot), b
	if len(env.Headers) > 0 {
		m.Headers = make(map[string]string, len(env.Headers))
		for _, h := range env.Headers {
			m.Headers[h.Key] = h.Value
		}
	}
	if len(env.Extra) > 0 {
		b.keepExtra(slot, env.Extra)
	}
	return nil
}

// sender makes from the string for an id that is met again and again.
func (in *inbox) sender(id []byte) error {
	s, known := in.senders[string(id)]
	if !known {
		s = string(id)
		if err := protocol.CheckID(s); err != nil && s != protocol.Guard {
			return fmt.Errorf("sender: %w", err)
		}
		if len(in.senders) >= 4096 {
			clear(in.senders)
		}
		in.senders[s] = s
	}
	in.from = s
	return nil
}

// setAside rejects what is not a message, also when the call that met it has
// ended meanwhile. What could not be rejected comes again, so it counts then.
func (c *client) setAside(ctx context.Context, d protocol.Delivery, reason error) *CorruptError {
	e := &CorruptError{ID: c.id, From: d.From, Data: append([]byte{}, d.Data[:min(len(d.Data), 4<<10)]...), Size: len(d.Data), Err: reason}
	if err := c.mb.Reject(context.WithoutCancel(ctx), d, e); err != nil {
		e.Err = fmt.Errorf("%w (and setting it aside failed: %w)", reason, err)
		return e
	}
	c.counts.count(corrupt, d.From, 1)
	return e
}

func (c *client) tellCorrupt(e *CorruptError) {
	if c.opts.corrupt != nil {
		c.opts.corrupt(e)
		return
	}
	c.opts.log.Warn("ipcmgr: corrupt message", "client", c.id, "store", c.store.info.Redacted(), "from", e.From, "size", e.Size, "err", e.Err)
}
