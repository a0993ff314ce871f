package ipcmgr

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipcmgr/ipcmgr/protocol"
)

func (c *client) Send(ctx context.Context, to string, content any) error {
	return c.sendOne(ctx, to, content, true)
}

func (c *client) TrySend(ctx context.Context, to string, content any) error {
	return c.sendOne(ctx, to, content, false)
}

func (c *client) sendOne(ctx context.Context, to string, content any, wait bool) error {
	if err := protocol.CheckID(to); err != nil {
		return c.errorTo("send", "", err)
	}
	o := getOutgoing()
	defer o.put()
	if err := c.pack(o, to, content, false); err != nil {
		return c.errorTo("send", to, err)
	}
	_, err := c.deliver(ctx, to, o, wait)
	return c.errorTo("send", to, err)
}

func (c *client) SendBatch(ctx context.Context, to string, contents ...any) (int, error) {
	if err := protocol.CheckID(to); err != nil {
		return 0, c.errorTo("send", "", err)
	}
	o := getOutgoing()
	defer o.put()
	for n, content := range contents {
		if err := c.pack(o, to, content, false); err != nil {
			return 0, c.errorTo("send", to, fmt.Errorf("message %d of the batch: %w", n, err))
		}
	}
	n, err := c.deliver(ctx, to, o, true)
	return n, c.errorTo("send", to, err)
}

// deliver hands frames to the protocol and counts what was accepted. It tries
// without waiting first, so that a client that leaves has to interrupt only
// those that wait for room.
func (c *client) deliver(ctx context.Context, to string, o *outgoing, wait bool) (int, error) {
	frames := o.seal()
	if len(frames) == 0 {
		return 0, nil
	}
	c.counting.RLock()
	defer c.counting.RUnlock()
	if c.closing.Err() != nil {
		return 0, ErrClosed
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	n, err := c.mb.Deliver(ctx, to, frames, false)
	c.counts.count(sent, to, o.counted(0, n))
	if wait && errors.Is(err, ErrFull) {
		var more int
		more, err = c.deliverWaiting(ctx, to, frames[n:])
		c.counts.count(sent, to, o.counted(n, n+more))
		n += more
	}
	if errors.Is(err, ErrUnsure) {
		c.counts.count(unsure, to, o.counted(n, len(frames)))
	}
	return n, err
}

func (c *client) deliverWaiting(ctx context.Context, to string, frames []protocol.Frame) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.closing, func() { cancel(ErrClosed) })()
	return c.mb.Deliver(ctx, to, frames, true)
}
