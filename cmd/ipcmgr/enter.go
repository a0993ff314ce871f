package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
)

// guest is a client that leaves what it resumed as it found it.
type guest struct {
	ipcmgr.Client
	found ipcmgr.State // Gone: the id was free
	until time.Time
	named bool
}

// enterAs connects under an id, or under one that nobody has if it is "".
func enterAs(cmd *cobra.Command, s *ipcmgr.Store, id string) (*guest, error) {
	ctx := cmd.Context()
	g := &guest{found: ipcmgr.Gone, named: id != ""}
	var err error
	if !g.named {
		g.Client, err = s.ConnectAnonymous(ctx, logTo(cmd.ErrOrStderr()))
		return g, err
	}
	p, err := s.Peer(ctx, id)
	if err == nil {
		g.found, g.until = p.State, p.Until
	} else if !errors.Is(err, ipcmgr.ErrNoPeer) {
		return nil, err
	}
	g.Client, err = s.Connect(ctx, id, ipcmgr.Resume(), logTo(cmd.ErrOrStderr()))
	return g, err
}

// leave ends what enterAs began; err is that of what was done meanwhile. A
// crashed client is left suspended: its mailbox stays in either case.
func (g *guest) leave(ctx context.Context, err error) error {
	if errors.Is(err, ipcmgr.ErrNoStore) {
		return err // nothing is left that could be left
	}
	ctx, cancel := leaving(ctx)
	defer cancel()
	if g.found != ipcmgr.Gone && g.Store().Features().Suspends {
		return errors.Join(err, g.Suspend(ctx, g.until))
	}
	unread := g.Disconnect(ctx, nil)
	if !g.named && errors.As(unread, new(*ipcmgr.UnreadError)) {
		return err // an answer to somebody who asked for none
	}
	return errors.Join(err, unread)
}
