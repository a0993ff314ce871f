package protocoltest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// delivery is about messages on their way: whole, in order, each once.
func delivery(t *testing.T, h Harness) {
	h.run(t, "EverySize", everySize)
	h.run(t, "TooLarge", tooLarge)
	h.run(t, "Batches", batches)
	h.run(t, "FramesStayTheCallers", framesStayTheCallers)
	h.run(t, "DataIsValidUntilAck", dataIsValidUntilAck)
	h.run(t, "FetchFillsWhatItIsGiven", fetchFillsWhatItIsGiven)
	h.run(t, "FetchWaits", fetchWaits)
	h.run(t, "AckInAnyOrder", ackInAnyOrder)
	h.run(t, "RejectSettles", rejectSettles)
	h.run(t, "ToOneself", toOneself)
	h.run(t, "ToNobody", toNobody)
	h.run(t, "BothWays", bothWays)
}

// A frame arrives as it is, from the empty one to the largest.
func everySize(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	most := s.store.Settings().MaxFrame
	for _, size := range []int{0, 1, 2, 100, 4095, 4096, 4097, 65535, 65536, 65537, most / 2, most - 1, most} {
		data := bytes.Repeat([]byte{0xff, 0, byte(size)}, size/3+1)[:size]
		errs := make(chan error, 1)
		go func() {
			_, err := a.Deliver(s.ctx, "b", []protocol.Frame{frame(data)}, true)
			errs <- err
		}()
		d := b.fetch(1)
		if !bytes.Equal(d[0].Data, data) {
			s.Fatalf("a frame of %d bytes arrived as %d others", size, len(d[0].Data))
		}
		b.ack(d)
		s.must(<-errs, "deliver")
	}
}

// One frame that is too large is refused with its whole batch, whatever the
// rest of it; the next is delivered.
func tooLarge(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	huge := frame(make([]byte, s.store.Settings().MaxFrame+1))
	for _, fs := range [][]protocol.Frame{{huge}, {frame([]byte("x")), huge}, {huge, frame([]byte("x"))}} {
		n, err := a.Deliver(s.ctx, "b", fs, true)
		s.wantErr(err, protocol.ErrTooLarge, "deliver")
		if n != 0 {
			s.Fatalf("%d frames of a batch with one too large were accepted", n)
		}
	}
	a.send("b", 0, 1)
	b.expect(s.ledger("b"), 1)
	b.empty()
}

// A batch is delivered in order, like as many single ones; an empty one is
// nothing.
func batches(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	g, first := s.ledger("b"), 0
	for _, count := range []int{0, 1, 2, 1000, 1, 999, 3} {
		a.send("b", first, count)
		first += count
	}
	b.expect(g, first)
	b.empty()
}

// The caller may reuse the bytes of its frames as soon as Deliver has returned.
func framesStayTheCallers(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	g := s.ledger("b")
	buffer := make([]byte, 200)
	for i := range 100 {
		data := append(buffer[:0], letter{By: "a", To: "b", Seq: i}.write(200)...)
		id := frameID()
		kept := bytes.Clone(data)
		n, err := a.Deliver(s.ctx, "b", []protocol.Frame{{ID: id, Data: data}}, true)
		if n != 1 || err != nil {
			s.Fatalf("deliver: %d, %v", n, err)
		}
		if !bytes.Equal(data, kept) {
			s.Fatal("Deliver changed the caller's bytes")
		}
		clear(data)
		clear(id)
	}
	b.expect(g, 100)
}

// What was fetched keeps its bytes until it is acknowledged, whatever is
// fetched and acknowledged besides.
func dataIsValidUntilAck(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	const count = 300
	var held []protocol.Delivery
	for first := 0; first < count; first += 30 {
		a.send("b", first, 30)
		ds := b.fetch(30)
		b.ack(ds[:15])
		held = append(held, ds[15:]...)
	}
	all, _ := seqs(b.read(held))
	var want []int
	for first := 0; first < count; first += 30 {
		want = append(want, span(first+15, first+29)...)
	}
	if !slices.Equal(all, want) {
		s.Fatalf("held %v, want %v", all, want)
	}
	b.ack(held)
}

// Fetch gives no more than fits, and keeps the rest for the next.
func fetchFillsWhatItIsGiven(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	g := s.ledger("b")
	a.send("b", 0, 20)
	for _, room := range []int{1, 2, 3, 14} {
		b.expect(g, room)
	}
	b.empty()
	if n, err := b.Fetch(s.ctx, nil, false); n != 0 || err != nil {
		s.Errorf("fetching into nothing gave %d, %v", n, err)
	}
}

// A waiting Fetch returns when there is a message, wherever it comes from.
func fetchWaits(s *scene) {
	b := s.connect("b", protocol.New)
	there := s.player("there", protocol.New)
	here := s.connect("here", protocol.New)
	g := s.ledger("b")
	b.empty()
	for i := range 20 {
		there.tell(order{Op: "deliver", To: "b", First: i, Count: 1, Wait: true})
		b.expect(g, 1)
		if r := there.finish(); r.Err != "" {
			s.Fatal(r.Err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			here.Deliver(s.ctx, "b", letters("here", "b", i, 1, 0), true)
		}()
		b.expect(g, 1)
		<-done
	}
}

// Messages are acknowledged in any order and grouping, and no other is lost.
func ackInAnyOrder(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	a.send("b", 0, 30)
	ds := b.fetch(30)
	slices.Reverse(ds[10:20])
	b.ack([]protocol.Delivery{ds[7], ds[2], ds[29]})
	b.ack(nil)
	b.ack(ds[10:20])
	b.ack(ds[:2])
	s.wantUnread("b", 30-15)
	b.ack(append(slices.Clone(ds[3:7]), ds[8:10]...))
	b.ack(ds[20:29])
	s.wantUnread("b", 0)
	b.empty()
}

// unread gives how many messages the store counts as unacknowledged.
func (s *scene) unread(id string) int {
	s.Helper()
	n, err := s.store.Unread(s.ctx, id)
	s.must(err, "count unread")
	return n
}

// wantUnread holds that the store counts so many messages as unacknowledged, or
// none where it keeps none.
func (s *scene) wantUnread(id string, want int) {
	s.Helper()
	n := s.unread(id)
	if n != want && (s.features.Redelivers || n != 0) {
		s.Fatalf("%s has %d messages unread, want %d", id, n, want)
	}
}

// A rejected message is settled: it does not come again and holds up nothing.
func rejectSettles(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	a.send("b", 0, 3)
	ds := b.fetch(3)
	s.must(b.Reject(s.ctx, ds[1], errHang), "reject")
	s.wantUnread("b", 2)
	b.ack([]protocol.Delivery{ds[0], ds[2]})
	s.wantUnread("b", 0)
	if s.features.Suspends {
		b.suspend()
		b = s.connect("b", protocol.Reconnect)
	}
	b.empty()
}

// A client is a peer of its own.
func toOneself(s *scene) {
	a := s.connect("a", protocol.New)
	a.send("a", 0, 5)
	a.expect(s.ledger("a"), 5)
	a.empty()
}

// What nobody is called cannot be delivered to.
func toNobody(s *scene) {
	a := s.connect("a", protocol.New)
	for _, to := range []string{"nobody", "A", "a.", "a/../a"} {
		n, err := a.Deliver(s.ctx, to, letters("a", to, 0, 2, 0), true)
		s.wantErr(err, protocol.ErrNoPeer, "deliver to "+to)
		if n != 0 {
			s.Fatalf("%d frames to nobody were accepted", n)
		}
	}
	a.empty()
}

// Two clients that answer each other keep their order in both directions.
func bothWays(s *scene) {
	a := s.connect("a", protocol.New)
	b := s.player("b", protocol.New)
	at := s.ledger("a")
	for i := range 50 {
		a.send("b", i, 1)
		r := b.do(order{Op: "fetch", Count: 1, Wait: true})
		if l := r.Letters[0]; l.By != "a" || l.Seq != i || l.Redelivered {
			s.Fatalf("b got %+v as number %d", l, i)
		}
		b.do(order{Op: "ack", Count: 1})
		b.do(order{Op: "deliver", To: "a", First: i, Count: 1, Wait: true})
		a.expect(at, 1)
	}
}
