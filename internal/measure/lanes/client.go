package lanes

import (
	"context"
	"errors"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// client is one end of a lane over a store.
type client struct {
	ctx    context.Context
	client ipcmgr.Client
	peer   string
	into   []byte // where the message at hand is decoded to
}

func (c *client) Send(content any) error { return c.client.Send(c.ctx, c.peer, content) }

func (c *client) SendBatch(contents []any) error {
	_, err := c.client.SendBatch(c.ctx, c.peer, contents...)
	return err
}

func (c *client) Receive(into []byte) ([]byte, error) {
	m, err := c.client.Receive(c.ctx)
	if err != nil {
		return nil, err
	}
	return c.decode(m, into)
}

// Range receives in a Messages loop.
func (c *client) Range(into []byte, _ int, see func([]byte) (bool, error)) error {
	for m, err := range c.client.Messages(c.ctx) {
		if err != nil {
			return err
		}
		b, err := c.decode(m, into)
		if err != nil {
			return err
		}
		if more, err := see(b); err != nil {
			return err
		} else if !more {
			return m.Ack(c.ctx) // breaking out of the loop does not
		}
	}
	return errors.New("the store's owner asked to terminate")
}

func (c *client) decode(m *ipcmgr.Message, into []byte) ([]byte, error) {
	c.into = into
	err := m.Decode(&c.into)
	return c.into, err
}

// leaveWithin bounds how long an end takes to leave.
const leaveWithin = 10 * time.Second

// Close leaves for good. Who owns the store removes it, and fails if its audit
// does.
func (c *client) Close() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), leaveWithin)
	defer cancel()
	err := c.client.Disconnect(ctx, nil)
	return errors.Join(err, c.client.Store().Close())
}
