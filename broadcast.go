package ipcmgr

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Results says for each peer of a broadcast what became of its message; nil
// means accepted.
type Results map[string]error

// Err joins the errors, ordered by peer; nil when all accepted.
func (r Results) Err() error {
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(r)) {
		errs = append(errs, r[id])
	}
	return errors.Join(errs...)
}

func (c *client) Broadcast(ctx context.Context, content any) (Results, error) {
	err := c.over(ctx)
	var peers []Peer
	if err == nil {
		peers, _, err = c.store.peers(ctx)
	}
	if err != nil {
		return nil, c.errorTo("broadcast", "", err)
	}
	to := make([]string, 0, len(peers))
	for _, p := range peers {
		if p.ID != c.id {
			to = append(to, p.ID)
		}
	}
	b := c.broadcast(ctx, to, content)
	results := b.rest(ctx, func(ctx context.Context, id string) error { return b.sendTo(ctx, id, true) })
	for id, err := range results {
		results[id] = c.errorTo("broadcast", id, err)
	}
	return results, nil
}

// broadcast is one under way.
type broadcast struct {
	c       *client
	content *Message
	results Results
	full    []string // who had no room at first
}

// broadcast sends to each peer that has room.
func (c *client) broadcast(ctx context.Context, to []string, content any) *broadcast {
	b := &broadcast{c: c, results: make(Results, len(to))}
	var err error
	if b.content, err = c.encodeOnce(content); err != nil {
		for _, id := range to {
			b.results[id] = err
		}
		return b
	}
	for _, id := range to {
		b.results[id] = b.sendTo(ctx, id, false)
		if errors.Is(b.results[id], ErrFull) {
			b.full = append(b.full, id)
		}
	}
	return b
}

// rest sends to those that were full, all at once; send may wait.
func (b *broadcast) rest(ctx context.Context, send func(ctx context.Context, id string) error) Results {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, id := range b.full {
		wg.Go(func() {
			err := send(ctx, id)
			mu.Lock()
			b.results[id] = err
			mu.Unlock()
		})
	}
	wg.Wait()
	return b.results
}

func (b *broadcast) sendTo(ctx context.Context, id string, wait bool) error {
	o := getOutgoing()
	defer o.put()
	err := b.c.address(o, id, 1)
	if err == nil {
		o.env.Broadcast = true
		err = b.c.pack(o, b.content)
	}
	if err == nil {
		_, err = b.c.deliver(ctx, id, o, wait)
	}
	return err
}

// encodeOnce returns content as a message whose content is encoded, for those
// who send it several times.
func (c *client) encodeOnce(content any) (*Message, error) {
	m, ok := content.(*Message)
	if !ok {
		m = NewMessage(content)
	}
	if m == nil {
		return nil, errNilMessage
	}
	if m.own == nil || m.own.ser != nil {
		return m, nil
	}
	encoded, err := c.store.ser.AppendContent(nil, m.own.value)
	if err != nil {
		return nil, fmt.Errorf("content is not sent: %w", err)
	}
	return &Message{ID: m.ID, Headers: m.Headers, own: &body{ser: c.store.ser, content: encoded}}, nil
}
