package ipcmgr

import (
	"context"
	"fmt"
)

// Handle runs f for each message, with its content decoded into a T, until the
// store's owner asks to terminate (nil), ctx ends, or f fails. A message is
// acknowledged when f returns nil, and put back when it returns an error, which
// Handle then returns. One whose content is no T is set aside with Reject: it
// would fail for ever.
func Handle[T any](ctx context.Context, c Client, f func(ctx context.Context, m *Message, v T) error) error {
	for m, err := range c.Messages(ctx) {
		if err != nil {
			return err
		}
		var v T
		if err := m.Decode(&v); err != nil {
			if err := m.Reject(ctx, err); err != nil {
				_ = m.Requeue() // it fails only if the client has left, or another goroutine settled it
				return err
			}
			continue
		}
		if err := f(ctx, m, v); err != nil {
			if m.held() {
				_ = m.Requeue() // it fails only if f settled the message itself
			}
			return fmt.Errorf("handler of message %s from %q: %w", m.ID, m.From, err)
		}
		if m.batch.client.opts.manual && m.held() { // else the loop acknowledges it
			if err := m.Ack(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// ReceiveAs receives one message and decodes its content. One whose content is
// no T is put back, and the error says so.
func ReceiveAs[T any](ctx context.Context, c Client) (T, error) {
	var v T
	m, err := c.Receive(ctx)
	if err != nil {
		return v, err
	}
	if err := m.Decode(&v); err != nil {
		_ = m.Requeue() // only fails if another goroutine settled it
		return v, err
	}
	return v, nil
}

// held says whether a message that was received is handed out and not settled.
func (m *Message) held() bool {
	in := &m.batch.client.in
	in.mu.Lock()
	defer in.mu.Unlock()
	return m.state == handed
}
