package ipctest

import (
	"context"
	"iter"

	"github.com/ipcmgr/ipcmgr"
)

// view is a client that looks at each message before its user does.
type view struct {
	ipcmgr.Client
	look func(*ipcmgr.Message)
}

func (v *view) Receive(ctx context.Context) (*ipcmgr.Message, error) {
	return v.seen(v.Client.Receive(ctx))
}

func (v *view) Next(ctx context.Context) (*ipcmgr.Message, error) {
	return v.seen(v.Client.Next(ctx))
}

func (v *view) TryNext(ctx context.Context) (*ipcmgr.Message, error) {
	return v.seen(v.Client.TryNext(ctx))
}

func (v *view) seen(m *ipcmgr.Message, err error) (*ipcmgr.Message, error) {
	if m != nil {
		v.look(m)
	}
	return m, err
}

func (v *view) Poll(ctx context.Context, max int) ([]*ipcmgr.Message, error) {
	ms, err := v.Client.Poll(ctx, max)
	for _, m := range ms {
		v.look(m)
	}
	return ms, err
}

func (v *view) Messages(ctx context.Context) iter.Seq2[*ipcmgr.Message, error] {
	return func(yield func(*ipcmgr.Message, error) bool) {
		for m, err := range v.Client.Messages(ctx) {
			if !yield(v.seen(m, err)) {
				return
			}
		}
	}
}

func (v *view) Disconnect(ctx context.Context, handler func(*ipcmgr.Message) error) error {
	if handler == nil {
		return v.Client.Disconnect(ctx, nil)
	}
	return v.Client.Disconnect(ctx, func(m *ipcmgr.Message) error {
		v.look(m)
		return handler(m)
	})
}
