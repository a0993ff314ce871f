//go:build unix

package robustness

import (
	"context"
	"errors"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// own is the owner of a crash test: it adopts the store, looks at it, gives it
// up and adopts it again, and is its client between times.
func (p *player) own() error {
	ctx := context.Background()
	h := p.left
	adopt := func() error {
		return h.at(adopting, func() (err error) {
			p.store, err = ipcmgr.Adopt(ctx, p.Config)
			return err
		})
	}
	giveUp := func() error {
		return h.at(adopting, func() error {
			return errors.Join(p.store.Detach(ctx), p.store.Close())
		})
	}
	if err := adopt(); err != nil {
		return err
	}
	p.keeps = p.store.Features().Redelivers
	for round := 1; p.receiveCtx.Err() == nil; round++ {
		err := h.at(looking, func() error {
			_, errPeers := p.store.Peers(ctx)
			_, errAudit := p.store.Audit(ctx)
			return errors.Join(errPeers, errAudit)
		})
		if err == nil {
			err = p.visit(h)
		}
		if err == nil && round%8 == 0 {
			if err = giveUp(); err == nil {
				err = adopt()
			}
		}
		if err != nil {
			return err
		}
		select { // an owner is mostly idle: it is not to take the machine from the others
		case <-p.receiveCtx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	return giveUp()
}

// visit connects, talks to itself, and leaves.
func (p *player) visit(h hand) error {
	ctx := context.Background()
	if err := h.at(connecting, func() error { return p.connect(ipcmgr.Fresh()) }); err != nil {
		return err
	}
	err := h.at(sending, func() error { return p.client.Send(ctx, p.ID, "reminder") })
	if err != nil {
		return err
	}
	take := func(*ipcmgr.Message) error { return nil }
	return h.at(disconnecting, func() error { return p.client.Disconnect(ctx, take) })
}
