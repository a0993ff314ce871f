package ipcmgr

import (
	"context"
	"fmt"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// take decodes what was fetched into the queue. What is not a message is set
// aside and returned.
func (c *client) take(ctx context.Context, ds []protocol.Delivery) (strange []*CorruptError) {
	in := &c.in
	in.ids, in.idEnds = in.ids[:0], in.idEnds[:0]
	ms := make([]Message, len(ds)) // one allocation for all, and one for their ids
	n := 0
	for i := range ds {
		if err := c.open(&ms[n], &ds[i]); err != nil {
			strange = append(strange, c.setAside(ctx, ds[i], err))
			continue
		}
		n++
	}
	clear(ds)
	ids, from := string(in.ids), 0
	in.mu.Lock()
	defer in.mu.Unlock()
	in.queue, in.next = in.queue[:0], 0
	for i := range ms[:n] {
		ms[i].ID = ids[from:in.idEnds[i]]
		from = in.idEnds[i]
		in.queue = append(in.queue, &ms[i])
	}
	return strange
}

// open decodes one delivery. The id of a message is left at the end of in.ids.
func (c *client) open(m *Message, d *protocol.Delivery) error {
	in := &c.in
	env := &in.env
	if err := c.store.ser.ParseEnvelope(d.Data, env); err != nil {
		return err
	}
	from, err := in.sender(env.From)
	if err != nil {
		return err
	}
	if d.From != "" && d.From != from {
		return fmt.Errorf("it claims to be from %q, but %q sent it", from, d.From)
	}
	if len(env.Content) > c.store.max {
		return fmt.Errorf("%w: its content has %d bytes", ErrTooLarge, len(env.Content))
	}
	*m = Message{
		From: from, To: c.id,
		Time: time.UnixMicro(env.Micros), Broadcast: env.Broadcast, Redelivered: d.Redelivered,
		content: env.Content, ser: c.store.ser,
		client: c, delivery: *d, state: ready,
	}
	in.ids = append(in.ids, env.ID...)
	in.idEnds = append(in.idEnds, len(in.ids))
	if isTerminate(c.store.ser, env.Content) {
		m.ser = nil // handed out as ErrTerminated only
		return nil
	}
	if len(env.Headers) > 0 {
		m.Headers = make(map[string]string, len(env.Headers))
		for _, h := range env.Headers {
			m.Headers[h.Key] = h.Value
		}
	}
	if len(env.Extra) > 0 {
		m.extra = append(m.extra, env.Extra...)
	}
	return nil
}

// sender returns the string for an id that is met again and again.
func (in *inbox) sender(id []byte) (string, error) {
	if s, ok := in.senders[string(id)]; ok {
		return s, nil
	}
	s := string(id)
	if err := protocol.CheckID(s); err != nil && s != protocol.Guard {
		return "", fmt.Errorf("sender: %w", err)
	}
	if len(in.senders) >= 4096 {
		clear(in.senders)
	}
	in.senders[s] = s
	return s, nil
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
