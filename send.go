package ipcmgr

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipcmgr/ipcmgr/internal/race"
	"github.com/ipcmgr/ipcmgr/protocol"
)

func (c *client) Send(ctx context.Context, to string, content any) error {
	_, err := c.send(ctx, to, true, content)
	return err
}

func (c *client) TrySend(ctx context.Context, to string, content any) error {
	_, err := c.send(ctx, to, false, content)
	return err
}

func (c *client) SendBatch(ctx context.Context, to string, contents ...any) (int, error) {
	return c.send(ctx, to, true, contents...)
}

func (c *client) send(ctx context.Context, to string, wait bool, contents ...any) (int, error) {
	o := getOutgoing()
	defer o.put()
	if err := c.address(o, to, len(contents)); err != nil {
		return 0, c.errorTo("send", "", err)
	}
	for n, content := range contents {
		if err := c.pack(o, content); err != nil {
			if len(contents) > 1 {
				err = fmt.Errorf("message %d of the batch: %w", n, err)
			}
			return 0, c.errorTo("send", to, err)
		}
	}
	n, err := c.deliver(ctx, to, o, wait)
	return n, c.errorTo("send", to, err)
}

// deliver hands frames to the protocol and counts what was accepted. It tries
// without waiting first, so that a client that leaves has to interrupt only
// those that wait for room.
func (c *client) deliver(ctx context.Context, to string, o *outgoing, wait bool) (int, error) {
	c.counting.RLock()
	defer c.counting.RUnlock()
	if err := c.over(ctx); err != nil {
		return 0, err
	}
	frames := o.seal()
	if len(frames) == 0 {
		return 0, nil
	}
	race.Release()
	n, err := c.mb.Deliver(ctx, to, frames, false)
	c.counts.sent(to, o.counted(0, n))
	if wait && errors.Is(err, ErrFull) {
		var more int
		more, err = c.deliverWaiting(ctx, to, frames[n:])
		c.counts.sent(to, o.counted(n, n+more))
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
