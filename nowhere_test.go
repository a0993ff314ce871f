package ipcmgr_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/mem"
)

// nowhere is mem with mailboxes that cost nothing: they forget what they are
// given, but for the last frame, and give that out for ever.
type nowhere struct {
	mem.Protocol
	box *nowhereBox
}

func (nowhere) Name() string { return "nowhere" }

func (p nowhere) Spawn(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	st, err := p.Protocol.Spawn(ctx, route, s)
	return nowhereStore{st, p.box}, err
}

type nowhereStore struct {
	protocol.Store
	box *nowhereBox
}

func (s nowhereStore) Connect(ctx context.Context, o protocol.ConnectOptions) (protocol.Mailbox, error) {
	mb, err := s.Store.Connect(ctx, o)
	if o.ID == protocol.Guard {
		return mb, err
	}
	s.box.Mailbox = mb
	return s.box, err
}

type nowhereBox struct {
	protocol.Mailbox
	last   []byte
	most   int // in one Fetch
	sealed bool
}

func (m *nowhereBox) Deliver(_ context.Context, _ string, frames []protocol.Frame, _ bool) (int, error) {
	if last := frames[len(frames)-1].Data; len(last) != len(m.last) {
		m.last = bytes.Clone(last)
	}
	return len(frames), nil
}

func (m *nowhereBox) Fetch(_ context.Context, ds []protocol.Delivery, _ bool) (int, error) {
	if m.sealed {
		return 0, io.EOF
	}
	n := min(len(ds), m.most)
	for i := range ds[:n] {
		ds[i] = protocol.Delivery{Data: m.last, Tag: uint64(i)}
	}
	return n, nil
}

func (m *nowhereBox) Ack(context.Context, []protocol.Delivery) error { return nil }

func (m *nowhereBox) Seal(context.Context) error { m.sealed = true; return nil }

// connectNowhere connects "c", which sends into the void.
func connectNowhere(t testing.TB, serializer string) (ipcmgr.Client, *nowhereBox) {
	box := &nowhereBox{most: 1 << 20}
	s, err := ipcmgr.Spawn(t.Context(), ipcmgr.Config{
		Protocol: ipcmgr.Names{"nowhere"}, Protocols: []protocol.Protocol{nowhere{box: box}}, Serializer: serializer,
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Connect(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // the audit finds that nothing is as it was sent
	return c, box
}
