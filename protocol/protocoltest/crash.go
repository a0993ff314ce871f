package protocoltest

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// crashing is about actors who are killed, one at a time.
func crashing(t *testing.T, h Harness) {
	h.run(t, "IsSeen", crashIsSeen)
	h.run(t, "IsSeenWithWhatWasPublished", crashKeepsAttributes)
	h.run(t, "CloseLooksLikeIt", closeLooksLikeACrash)
	h.run(t, "SenderLosesNothing", senderLosesNothing)
	if h.Protocol.Features().Redelivers {
		h.run(t, "ReceiverIsRedelivered", receiverIsRedelivered)
		h.run(t, "AgainAndAgain", redeliveredAgainAndAgain)
	} else {
		h.run(t, "NothingIsKept", nothingIsKept)
	}
	if h.Processes {
		h.run(t, "OwnerLosesOwnership", ownerLosesOwnership)
		h.run(t, "DeadStoresAreCollected", deadStoresAreCollected)
	}
}

// Whoever waits in Changed is told of a crash. How soon is logged, not asserted.
func crashIsSeen(s *scene) {
	watch := s.open()
	var took []time.Duration
	for range 10 {
		a := s.player("a", protocol.Resume)
		s.state(watch, "a", protocol.Active)
		begun := time.Now()
		a.kill()
		s.state(watch, "a", protocol.Crashed)
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	s.Logf("from kill to crashed: median %v, longest %v", took[len(took)/2], took[len(took)-1])
}

// A crashed peer is still known with its process and its attributes.
func crashKeepsAttributes(s *scene) {
	a := s.actor()
	pid := a.connect("a", protocol.New).PID
	attrs := map[string]string{"x": "1"}
	a.do(order{Op: "publish", Attrs: attrs, Stats: []byte("counts")})
	a.kill()
	p := s.state(s.store, "a", protocol.Crashed)
	if !maps.Equal(p.Attrs, attrs) || !s.features.Remote && p.PID != pid {
		s.Errorf("the crashed peer is %+v; it was process %d with %q", p, pid, attrs)
	}
	had, stats := s.connect("a", protocol.Reconnect).Left()
	if !maps.Equal(had, attrs) || string(stats) != "counts" {
		s.Errorf("Left gives %q, %q; want %q, %q", had, stats, attrs, "counts")
	}
}

// Closing a handle leaves its clients as a crash would.
func closeLooksLikeACrash(s *scene) {
	a := s.connect("a", protocol.New)
	s.must(a.store.Close(), "close")
	s.wantErr(a.Leave(s.ctx, protocol.Departure{}), protocol.ErrClosed, "leave after its handle was closed")
	s.state(s.store, "a", protocol.Crashed)
	s.connect("a", protocol.Reconnect).came(2, protocol.Crashed)
}

// What was accepted arrives, though its sender was killed the next instant; and
// when the sender is back, in order behind it.
func senderLosesNothing(s *scene) {
	a, b := s.player("a", protocol.New), s.connect("b", protocol.New)
	a.do(order{Op: "deliver", To: "b", Count: 100, Batch: 7, Size: 500, Wait: true})
	a.kill()
	s.state(s.store, "a", protocol.Crashed)
	s.connect("a", protocol.Reconnect).send("b", 100, 10)
	b.expect(s.ledger("b"), 110)
	b.empty()
}

// What a killed receiver had fetched and not acknowledged comes again, marked.
// What it had not fetched comes unmarked, but for a batch that it may have been
// about to fetch; what was acknowledged never comes; what is accepted after the
// crash comes unmarked.
func receiverIsRedelivered(s *scene) {
	a, b := s.connect("a", protocol.New), s.player("b", protocol.New)
	for first := 0; first < 30; first += 5 {
		a.send("b", first, 5)
	}
	b.do(order{Op: "fetch", Count: 10, Wait: true})
	b.do(order{Op: "ack", Count: 4})
	b.kill()
	s.state(a.store, "b", protocol.Crashed)
	s.wantUnread("b", 26)
	a.send("b", 30, 5)

	again := s.connect("b", protocol.Reconnect)
	again.came(2, protocol.Crashed)
	a.send("b", 35, 5)
	ds := again.fetch(36)
	all, marked := seqs(again.read(ds))
	if !slices.Equal(all, span(4, 39)) {
		s.Fatalf("fetched %v, want 4 to 39", all)
	}
	if most := span(4, 14); len(marked) < 6 || len(marked) > len(most) || !slices.Equal(marked, most[:len(marked)]) {
		s.Fatalf("marked are %v, want 4 to 9, and at most a batch more", marked)
	}
	again.ack(ds)
	again.empty()
	s.wantUnread("b", 0)
}

// A message that kills its receiver each time comes each time.
func redeliveredAgainAndAgain(s *scene) {
	a := s.connect("a", protocol.New)
	b := s.player("b", protocol.New)
	a.send("b", 0, 4)
	for range 3 {
		r := b.do(order{Op: "fetch", Count: 4, Wait: true})
		if all, _ := seqs(r.Letters); !slices.Equal(all, span(0, 3)) {
			s.Fatalf("fetched %v", all)
		}
		b.kill()
		s.state(s.store, "b", protocol.Crashed)
		b = s.player("b", protocol.Reconnect)
	}
	r := b.do(order{Op: "fetch", Count: 4, Wait: true})
	if all, marked := seqs(r.Letters); !slices.Equal(all, span(0, 3)) || !slices.Equal(marked, all) {
		s.Fatalf("fetched %v, marked %v", all, marked)
	}
	b.do(order{Op: "ack", Count: 4})
	b.kill()
	s.state(s.store, "b", protocol.Crashed)
	s.connect("b", protocol.Reconnect).empty()
}

// Where mailboxes are not kept, nobody can send to a crashed client, and who
// takes up its name starts empty.
func nothingIsKept(s *scene) {
	a, b := s.connect("a", protocol.New), s.player("b", protocol.New)
	a.send("b", 0, 5)
	b.do(order{Op: "fetch", Count: 2, Wait: true})
	b.kill()
	s.state(a.store, "b", protocol.Crashed)
	n, err := a.Deliver(s.ctx, "b", letters("a", "b", 5, 1, 0), true)
	s.wantErr(err, protocol.ErrPeerCrashed, "deliver to a crashed peer")
	if n != 0 {
		s.Fatal("a message to a crashed peer was accepted")
	}
	again := s.connect("b", protocol.Resume)
	again.came(2, protocol.Crashed)
	again.empty()
	a.send("b", 0, 3)
	again.expect(s.ledger("b"), 3)
}

// A killed owner owns no more.
func ownerLosesOwnership(s *scene) {
	a := s.actor()
	s.connect("keep", protocol.New) // or anybody might collect the store while nobody owns it
	s.must(s.store.Disown(s.ctx), "disown")
	a.do(order{Op: "own"})
	s.wantErr(s.store.Own(s.ctx, false), protocol.ErrOwned, "own what a living process owns")
	if s.store.Owned() || !a.do(order{Op: "owned"}).Owned {
		s.Error("the wrong handle says that it is the owner")
	}
	a.kill()
	settled(func() bool { return !errors.Is(s.store.Own(s.ctx, false), protocol.ErrOwned) })
	s.must(s.store.Own(s.ctx, false), "own what a killed process owned")
}

// A temporary store is collected when its owner and all of its clients are
// dead, and not before.
func deadStoresAreCollected(s *scene) {
	owner, tenant := s.stranger(), s.stranger()
	route := owner.do(order{Op: "spawn"}).Route
	tenant.do(order{Op: "open", Route: route})
	tenant.connect("a", protocol.New)
	collected := func() bool {
		s.Helper()
		gone, err := s.h.Protocol.Collect(s.ctx)
		s.must(err, "collect")
		st, err := s.h.Protocol.Open(s.ctx, route)
		if err == nil {
			st.Close()
			if slices.Contains(gone, route) {
				s.Fatalf("%s is said to be collected, and can be opened", route)
			}
			return false
		}
		s.wantErr(err, protocol.ErrNoStore, "open")
		return true
	}
	if collected() {
		s.Fatal("a store with an owner and a client was collected")
	}
	owner.kill()
	if collected() {
		s.Fatal("a store with a client was collected")
	}
	tenant.kill()
	if !settled(collected) {
		s.Fatal("a dead store was not collected")
	}
}
