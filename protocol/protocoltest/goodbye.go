package protocoltest

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// goodbye is about clients that leave for good.
func goodbye(t *testing.T, h Harness) {
	h.run(t, "SealRefusesAndDrains", sealRefusesAndDrains)
	h.run(t, "UnderFire", goodbyeUnderFire, room(64, 1<<20))
	h.run(t, "LeaveOnce", leaveOnce)
	h.run(t, "LeaveFails", leaveFails)
	h.run(t, "LeaveEndsEveryCall", leaveEndsEveryCall, room(16, 1<<20))
	h.run(t, "LeftIsGone", leftIsGone)
	h.run(t, "LeavingDropsTheRest", leavingDropsTheRest)
}

// A sealed mailbox takes nothing more and gives all it has; then io.EOF, each
// time. Its client can still send.
func sealRefusesAndDrains(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	a.send("b", 0, 10)
	held := b.fetch(3)
	s.must(b.Seal(s.ctx), "seal")
	n, err := a.Deliver(s.ctx, "b", letters("a", "b", 10, 1, 0), true)
	if n != 0 || !gone(err) {
		s.Fatalf("delivering to a sealed mailbox: %d, %v", n, err)
	}
	if n := b.drain(); n != 7 {
		s.Fatalf("%d were fetched after Seal, 7 were left", n)
	}
	if n := b.drain(); n != 0 {
		s.Fatalf("%d were fetched after io.EOF", n)
	}
	b.ack(held)
	b.send("a", 0, 1)
	a.expect(s.ledger("a"), 1)
	b.leave()
}

// Whatever its senders do meanwhile, a client that seals, drains and leaves has
// fetched exactly what was accepted, in order.
func goodbyeUnderFire(s *scene) {
	far := s.player("far", protocol.New)
	near := []*client{s.connect("n1", protocol.New), s.connect("n2", protocol.New), s.connect("n3", protocol.New)}
	for round := range *rounds {
		g := s.connect("g", protocol.New)
		book := s.ledger("g")
		far.tell(order{Op: "deliver", To: "g", Batch: 1 + round%4, Size: 100, Wait: true})
		var flows []*flow
		for i, c := range near {
			flows = append(flows, c.flow("g", 1+i, 100))
		}
		for range 1 + round%20 {
			g.expect(book, 1)
		}
		s.must(g.Seal(s.ctx), "seal")
		for ds := make([]protocol.Delivery, 16); ; {
			n, err := g.Fetch(s.ctx, ds, true)
			if n == 0 {
				s.wantErr(err, io.EOF, "fetch after seal")
				break
			}
			for _, l := range g.read(ds[:n]) {
				s.must(book.note(l), "g")
			}
			g.ack(ds[:n])
		}
		g.leave()

		r := far.finish()
		accepted := map[string]int{"far": r.N}
		if !r.is(protocol.ErrPeerGone) && !r.is(protocol.ErrNoPeer) {
			s.Fatalf("round %d: the sender in another process was ended by %q", round, r.Err)
		}
		for i, f := range flows {
			<-f.done
			accepted[near[i].id] = int(f.sent.Load())
			if !gone(f.err) {
				s.Fatalf("round %d: a sender was ended by %v", round, f.err)
			}
		}
		for id, n := range accepted {
			if book.next[id] != n {
				s.Fatalf("round %d: %d letters of %s were accepted, %d fetched", round, n, id, book.next[id])
			}
		}
	}
}

// A client leaves once, and is closed from then on.
func leaveOnce(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	a.send("b", 0, 1)
	ds := b.fetch(1)
	b.leave()
	for name, call := range b.calls("a", ds) {
		if err := call(s.ctx); !errors.Is(err, protocol.ErrClosed) {
			s.Errorf("%s after Leave gives %v", name, err)
		}
	}
	s.wantErr(b.Leave(s.ctx, protocol.Departure{}), protocol.ErrClosed, "leave again")
	a.empty()
}

// A client whose Leave has failed has left as if it had crashed: it is closed,
// others see so, and whoever takes its id up gets messages.
func leaveFails(s *scene) {
	a := s.connect("a", protocol.New)
	why := errors.New("protocoltest: no more")
	refuse := func([]byte) ([]byte, error) { return nil, why }
	for i := range 3 {
		b := s.connect("b", protocol.Resume)
		s.must(b.Publish(s.ctx, map[string]string{"x": "y"}, []byte("own")), "publish")
		fetched := make(chan error, 1)
		go func() {
			_, err := b.Fetch(s.ctx, make([]protocol.Delivery, 1), true)
			fetched <- err
		}()
		s.wantErr(b.Leave(s.ctx, protocol.Departure{Under: "_all", Fold: refuse}), why, "leave")
		s.wantErr(<-fetched, protocol.ErrClosed, "a Fetch that waited")
		s.wantErr(b.Leave(s.ctx, protocol.Departure{}), protocol.ErrClosed, "leave again")
		s.state(s.store, "b", protocol.Crashed)
		s.state(b.store, "b", protocol.Crashed)
		s.stats(map[string]string{"b": "own"})
		b = s.connect("b", protocol.Reconnect)
		b.came(uint64(2*i)+2, protocol.Crashed)
		a.send("b", 0, 1)
		b.expect(s.ledger("b"), 1)
		b.leave()
	}
}

// calls are the methods of a mailbox that take a context, but for Leave.
func (c *client) calls(peer string, ds []protocol.Delivery) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Deliver": func(ctx context.Context) error {
			_, err := c.Deliver(ctx, peer, letters(c.id, peer, 0, 1, letterSize), true)
			return err
		},
		"TryDeliver": func(ctx context.Context) error {
			_, err := c.Deliver(ctx, peer, letters(c.id, peer, 0, 1, letterSize), false)
			return err
		},
		"Fetch": func(ctx context.Context) error {
			_, err := c.Fetch(ctx, make([]protocol.Delivery, 1), true)
			return err
		},
		"TryFetch": func(ctx context.Context) error {
			_, err := c.Fetch(ctx, make([]protocol.Delivery, 1), false)
			return err
		},
		"Ack":     func(ctx context.Context) error { return c.Ack(ctx, ds) },
		"Reject":  func(ctx context.Context) error { return c.Reject(ctx, ds[0], errHang) },
		"Publish": func(ctx context.Context) error { return c.Publish(ctx, map[string]string{"x": "y"}, nil) },
		"Seal":    func(ctx context.Context) error { return c.Seal(ctx) },
	}
}

// Leave ends what is under way: waiting to deliver, to several and by several,
// and waiting to fetch.
func leaveEndsEveryCall(s *scene) {
	s.player("full", protocol.New)
	s.connect("filler", protocol.New).fill("full", 0, letterSize)
	for range 10 {
		a := s.connect("a", protocol.New)
		flows := []*flow{a.flow("full", 1, letterSize), a.flow("full", 2, letterSize)}
		fetched := make(chan error, 1)
		go func() {
			_, err := a.Fetch(s.ctx, make([]protocol.Delivery, 1), true)
			fetched <- err
		}()
		pause()
		a.leave()
		s.wantErr(<-fetched, protocol.ErrClosed, "a Fetch that waited")
		for _, f := range flows {
			<-f.done
			s.wantErr(f.err, protocol.ErrClosed, "a Deliver that waited")
		}
	}
}

// Nobody reaches a client that has left, here or elsewhere; a newcomer under its
// id is another.
func leftIsGone(s *scene) {
	a, there := s.connect("a", protocol.New), s.player("there", protocol.New)
	b := s.connect("b", protocol.New)
	a.send("b", 0, 1)
	there.do(order{Op: "deliver", To: "b", Count: 1, Wait: true})
	b.fetch(2)
	b.leave()
	if _, err := a.Deliver(s.ctx, "b", letters("a", "b", 1, 1, 0), true); !gone(err) {
		s.Errorf("delivering to a client that left: %v", err)
	}
	if r := there.try(order{Op: "deliver", To: "b", First: 1, Count: 1, Wait: true}); !r.is(protocol.ErrPeerGone) && !r.is(protocol.ErrNoPeer) {
		s.Errorf("delivering to a client that left, from elsewhere: %q", r.Err)
	}
	b = s.connect("b", protocol.New)
	b.empty()
	a.send("b", 0, 1)
	there.do(order{Op: "deliver", To: "b", Count: 1, Wait: true})
	b.expect(s.ledger("b"), 2)
}

// A mailbox that is left with messages in it is gone with them.
func leavingDropsTheRest(s *scene) {
	a := s.connect("a", protocol.New)
	for i := range 5 {
		b := s.connect("b", protocol.New)
		a.send("b", 0, 20)
		b.ack(b.fetch(2))
		b.fetch(3)
		b.leave()
		s.wantUnread("b", 0)
		s.state(s.store, "b", protocol.Gone)
		b = s.connect("b", protocol.New)
		b.came(uint64(2*i)+2, protocol.Gone)
		b.empty()
		b.leave()
	}
}
