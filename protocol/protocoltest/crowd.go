package protocoltest

import (
	"fmt"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// crowd is about many clients at once, each in a process of its own.
func crowd(t *testing.T, h Harness) {
	h.run(t, "EightToFour", func(s *scene) { s.crowd(8, 4, 200, 1) })
	h.run(t, "EightToFourInBatches", func(s *scene) { s.crowd(8, 4, 1000, 50) })
	h.run(t, "EightToFourWithinLimits", func(s *scene) { s.crowd(8, 4, 200, 3) }, func(s *protocol.Settings) { s.MaxPending = 16 })
}

// crowd has every sender send to every receiver; each letter arrives once,
// whole, unmarked and in its sender's order.
func (s *scene) crowd(senders, receivers, count, batch int) {
	var to, from []*actor
	for i := range receivers {
		to = append(to, s.player(fmt.Sprint("r", i), protocol.New))
	}
	for i := range senders {
		from = append(from, s.player(fmt.Sprint("s", i), protocol.New))
	}
	for _, r := range to {
		r.tell(order{Op: "consume", Count: senders * count, Batch: 64})
	}
	done := make(chan error)
	for _, a := range from {
		go func() { done <- a.circulate(to, count, batch) }()
	}
	for _, r := range to {
		go func() { done <- r.balance(s.ledger(r.id), senders*count) }()
	}
	for range senders + receivers {
		if err := <-done; err != nil {
			s.Error(err)
		}
	}
}

// circulate sends count letters to each receiver, a batch to one after the
// other.
func (a *actor) circulate(to []*actor, count, batch int) error {
	for first := 0; first < count; first += batch {
		for _, r := range to {
			n := min(batch, count-first)
			if err := a.orders.Encode(order{Op: "deliver", To: r.id, First: first, Count: n, Size: 200, Wait: true}); err != nil {
				return err
			}
			if rep, ok := a.hear(); !ok || rep.Err != "" || rep.N != n {
				return fmt.Errorf("%s delivers to %s: %d of %d, %s", a.id, r.id, rep.N, n, rep.Err)
			}
		}
	}
	return nil
}

// balance notes what an actor consumes.
func (a *actor) balance(g *ledger, total int) error {
	for {
		rep, ok := a.hear()
		if !ok || rep.Err != "" {
			return fmt.Errorf("%s stopped with %d letters of %d: %s", a.id, g.total, total, rep.Err)
		}
		for _, l := range rep.Letters {
			if err := g.note(l); err != nil {
				return fmt.Errorf("%s: %w", a.id, err)
			}
		}
		if rep.Done {
			if g.total != total {
				return fmt.Errorf("%s got %d letters of %d", a.id, g.total, total)
			}
			return nil
		}
	}
}
