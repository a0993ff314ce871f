package ipcmgr

import (
	"context"
	"sync"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// guard is the client, under an id that no other can have, as which an owner
// asks the others to terminate. It is connected once it is needed.
type guard struct {
	mu sync.Mutex
	mb protocol.Mailbox
}

// summonGuard connects the guard, unless it is.
func (s *Store) summonGuard(ctx context.Context) (protocol.Mailbox, error) {
	s.guard.mu.Lock()
	defer s.guard.mu.Unlock()
	if s.guard.mb != nil {
		return s.guard.mb, nil
	}
	hello, err := s.ser.AppendContent(nil, map[string]string{"hello": protocol.Guard})
	if err != nil {
		return nil, err
	}
	mb, err := s.handle.Connect(ctx, protocol.ConnectOptions{
		ID: protocol.Guard, Mode: protocol.Resume, Hello: hello, Who: s.who, Notice: func(error) {},
	})
	if err != nil {
		return nil, err
	}
	s.guard.mb = mb
	return mb, nil
}

// dismiss makes the guard leave, if it is there, without a record of it. It
// leaves also when ctx has ended: there is no second chance.
func (g *guard) dismiss(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	mb := g.mb
	if mb == nil {
		return nil
	}
	g.mb = nil
	return mb.Leave(context.WithoutCancel(ctx), protocol.Departure{
		Under: protocol.Guard,
		Fold:  func(old []byte) ([]byte, error) { return old, nil },
	})
}
