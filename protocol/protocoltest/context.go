package protocoltest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// contexts is about calls whose context ends.
func contexts(t *testing.T, h Harness) {
	h.run(t, "EndsWhatBlocks", contextEndsWhatBlocks, room(16, 1<<20))
	h.run(t, "EndedBefore", contextEndedBefore)
	h.run(t, "HurtsNoOther", contextHurtsNoOther, room(16, 1<<20))
}

var errCause = errors.New("protocoltest: the cause")

// A call that blocks returns the cause when its context ends, be it canceled or
// timed out, early or late, and can be repeated.
func contextEndsWhatBlocks(s *scene) {
	a, full := s.connect("a", protocol.New), s.player("full", protocol.New)
	a.fill(full.id, 0, letterSize)
	st := s.open()
	calls := map[string]func(context.Context) error{
		"Deliver": func(ctx context.Context) error {
			for { // what was under way may make room once more
				if _, err := a.Deliver(ctx, "full", letters("a", "full", 0, 1, letterSize), true); err != nil {
					return err
				}
			}
		},
		"Fetch": func(ctx context.Context) error {
			_, err := a.Fetch(ctx, make([]protocol.Delivery, 1), true)
			return err
		},
		"Changed": func(ctx context.Context) error {
			for {
				_, rev, err := st.Peers(ctx)
				if err == nil {
					err = st.Changed(ctx, rev)
				}
				if err != nil {
					return err
				}
			}
		},
	}
	for name, call := range calls {
		for _, after := range []time.Duration{0, time.Microsecond, 100 * time.Microsecond, 20 * time.Millisecond} {
			ctx, cancel := context.WithCancelCause(s.ctx)
			timer := time.AfterFunc(after, func() { cancel(errCause) })
			s.wantErr(call(ctx), errCause, name+" with a canceled context")
			timer.Stop()
			ctx, stop := context.WithTimeoutCause(s.ctx, after, errCause)
			s.wantErr(call(ctx), errCause, name+" with a context that timed out")
			stop()
		}
	}
	a.send("a", 0, 1)
	a.expect(s.ledger("a"), 1)
}

// A call whose context has ended returns the cause and changes nothing.
func contextEndedBefore(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	a.send("b", 0, 1)
	held := b.fetch(1)
	a.send("b", 1, 1)
	ended, cancel := context.WithCancelCause(s.ctx)
	cancel(errCause)

	other := s.open()
	calls := b.calls("a", held)
	calls["Connect"] = func(ctx context.Context) error {
		_, err := other.Connect(ctx, options("c", protocol.New))
		return err
	}
	calls["Peers"] = func(ctx context.Context) error { _, _, err := other.Peers(ctx); return err }
	calls["Changed"] = func(ctx context.Context) error { return other.Changed(ctx, 0) }
	calls["Stats"] = func(ctx context.Context) error { _, err := other.Stats(ctx); return err }
	calls["Unread"] = func(ctx context.Context) error { _, err := other.Unread(ctx, "b"); return err }
	calls["Own"] = func(ctx context.Context) error { return other.Own(ctx, true) }
	calls["Disown"] = func(ctx context.Context) error { return s.store.Disown(ctx) }
	calls["End"] = func(ctx context.Context) error { return s.store.End(ctx) }
	calls["Unspawn"] = func(ctx context.Context) error { return s.store.Unspawn(ctx) }
	calls["Open"] = func(ctx context.Context) error { _, err := s.h.Protocol.Open(ctx, s.store.Route()); return err }
	calls["Spawn"] = func(ctx context.Context) error {
		_, err := s.h.Protocol.Spawn(ctx, s.route(), defaults(s.h))
		return err
	}
	calls["Collect"] = func(ctx context.Context) error { _, err := s.h.Protocol.Collect(ctx); return err }
	for name, call := range calls {
		if err := call(ended); !errors.Is(err, errCause) {
			s.Errorf("%s gives %v", name, err)
		}
	}

	if !s.store.Owned() || other.Owned() {
		s.Error("the owner has changed")
	}
	if p := s.state(s.store, "b", protocol.Active); len(p.Attrs) > 0 {
		s.Errorf("b has the attributes %q", p.Attrs)
	}
	a.empty()
	a.send("b", 2, 1)
	s.wantUnread("b", 3)
	g := s.ledger("b")
	g.next["a"] = 1
	b.expect(g, 2)
	b.ack(held)
	s.connect("c", protocol.New).came(1, protocol.Gone)
}

// The end of one call's context ends no other call.
func contextHurtsNoOther(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	g := s.ledger("b")
	f := a.flow("b", 1, letterSize)
	for range 50 {
		ctx, cancel := context.WithTimeoutCause(s.ctx, time.Millisecond, errCause)
		_, err := a.Fetch(ctx, make([]protocol.Delivery, 1), true)
		s.wantErr(err, errCause, "fetch from an empty mailbox")
		cancel()
		b.expect(g, 10)
	}
	f.end()
	s.wantErr(f.err, errStopped, "a stopped flow")
	b.expect(g, int(f.sent.Load())-g.total)
	b.empty()
}
