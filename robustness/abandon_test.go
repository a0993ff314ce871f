package robustness

import (
	"context"
	"log/slog"
	"testing"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// abandoned is a protocol whose last handle a test can drop while clients are
// connected through it, which leaves them as a crash of their process would.
// Each client that is to crash has a value and so a handle of its own.
type abandoned struct {
	protocol.Protocol
	handle protocol.Store
}

func (a *abandoned) Open(ctx context.Context, route string) (protocol.Store, error) {
	var err error
	a.handle, err = a.Protocol.Open(ctx, route)
	return a.handle, err
}

// mortal is a client that can crash.
type mortal struct {
	ipcmgr.Client
	a *abandoned
}

// dieable connects a client of the store that can crash.
func dieable(s *ipcmgr.Store, id string, opts ...ipcmgr.ConnectOption) (*mortal, error) {
	ctx := context.Background()
	info := s.Info()
	p, err := protocol.Get(info.Protocol)
	if err != nil {
		return nil, err
	}
	a := &abandoned{Protocol: p}
	own, err := ipcmgr.OpenConfig(ctx, ipcmgr.Config{
		Protocol: ipcmgr.Names{info.Protocol}, Serializer: info.Serializer, Route: info.Route,
		Protocols: []protocol.Protocol{a},
	})
	if err != nil {
		return nil, err
	}
	defer own.Close() // lives on until the client has left
	silent := ipcmgr.Logger(slog.New(slog.DiscardHandler))
	c, err := own.Connect(ctx, id, append(opts, silent)...)
	if err != nil {
		return nil, err
	}
	return &mortal{c, a}, nil
}

// crash leaves the client as a kill would.
func (m *mortal) crash() error {
	err := m.a.handle.Close()
	_ = m.Disconnect(context.Background(), nil) // this process forgets it; the store has already
	return err
}

// A client that crashes so is seen to, by every protocol.
func TestAbandonedIsCrashed(t *testing.T) {
	for _, name := range trial.Viable(protocol.Names()...) {
		t.Run(name, func(t *testing.T) {
			s := newWorld(t, ipcmgr.Config{Protocol: ipcmgr.Names{name}}).store
			m, err := dieable(s, "a")
			if err != nil {
				t.Fatal(err)
			}
			if err := m.crash(); err != nil {
				t.Fatal(err)
			}
			p, err := s.Peer(t.Context(), "a")
			if err != nil || p.State != ipcmgr.Crashed {
				t.Fatalf("%+v, %v", p, err)
			}
		})
	}
}
