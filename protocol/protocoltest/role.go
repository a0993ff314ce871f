package protocoltest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// order is one line that an actor is given: one thing to do.
type order struct {
	Op    string
	Route string // of spawn and open
	ID    string
	Mode  protocol.Mode
	To    string
	First int // number of the first letter
	Count int // letters to deliver, fetch or acknowledge; of stream and consume: 0 = until it fails
	Size  int
	Batch int // letters per Deliver or Fetch; 0 = all at once
	Wait  bool
	Attrs map[string]string
	Stats []byte
	Until time.Time
}

// report is one line that an actor says. Every order ends with one that is
// Done; stream and consume say others before.
type report struct {
	Done    bool
	Err     string
	Is      []string // the sentinels that the error matches, by text
	N       int
	Letters []letter
	Epoch   uint64
	PID     int
	Found   protocol.State
	Route   string
	Owned   bool
}

// role is what an actor plays: one handle and one client.
type role struct {
	p     protocol.Protocol
	store protocol.Store
	box   protocol.Mailbox
	id    string
	held  []protocol.Delivery // fetched and not acknowledged
	say   func(report)
}

// play carries out the orders that come in, one after the other, until their
// end. It returns the handle that is open then, if any: a process leaves it as
// it is, which is a crash.
func play(ctx context.Context, p protocol.Protocol, in io.Reader, out io.Writer) protocol.Store {
	orders, reports := json.NewDecoder(in), json.NewEncoder(out)
	r := &role{p: p, say: func(rep report) { reports.Encode(rep) }}
	for {
		var o order
		if orders.Decode(&o) != nil {
			return r.store
		}
		rep, err := r.do(ctx, o)
		rep.Done = true
		if err != nil {
			rep.Err, rep.Is = err.Error(), matches(err)
		}
		r.say(rep)
	}
}

func (r *role) do(ctx context.Context, o order) (rep report, err error) {
	switch o.Op {
	case "spawn":
		r.store, err = r.p.Spawn(ctx, o.Route, protocol.Settings{Serializer: "json", MaxFrame: 1 << 20, MaxPending: 1 << 16, MaxBytes: 64 << 20, Temporary: o.Route == ""})
		if err == nil {
			rep.Route = r.store.Route()
		}
	case "open":
		r.store, err = r.p.Open(ctx, o.Route)
	case "close":
		err = r.store.Close()
	case "own":
		err = r.store.Own(ctx, false)
	case "owned":
		rep.Owned = r.store.Owned()
	case "connect":
		r.id, r.held = o.ID, nil
		r.box, err = r.store.Connect(ctx, options(o.ID, o.Mode))
		if err == nil {
			rep.Epoch, rep.Found, rep.PID = r.box.Epoch(), r.box.Found(), os.Getpid()
		}
	case "deliver", "stream":
		rep.N, err = r.stream(ctx, o)
	case "fetch":
		rep.Letters, err = r.fetch(ctx, o.Count, o.Wait)
	case "ack":
		err = r.ack(ctx, o.Count)
	case "consume":
		err = r.consume(ctx, o)
	case "idle":
		// The test must not look before the order has arrived.
		r.say(report{})
		_, err = r.box.Fetch(ctx, make([]protocol.Delivery, 1), true)
	case "publish":
		err = r.box.Publish(ctx, o.Attrs, o.Stats)
	case "suspend":
		err = r.box.Leave(ctx, protocol.Departure{Suspend: true, Until: o.Until, Stats: o.Stats})
	case "leave":
		err = r.box.Leave(ctx, protocol.Departure{Stats: o.Stats})
	default:
		err = errors.New("protocoltest: unknown order " + o.Op)
	}
	return rep, err
}

// stream delivers letters in batches, as many as are asked for or until one is
// refused. As "stream" it says after each batch how many are accepted.
func (r *role) stream(ctx context.Context, o order) (sent int, err error) {
	batch := o.Batch
	if batch == 0 {
		batch = max(o.Count, 1)
	}
	for o.Count == 0 || sent < o.Count {
		size := batch
		if o.Count > 0 {
			size = min(batch, o.Count-sent)
		}
		n, err := r.box.Deliver(ctx, o.To, letters(r.id, o.To, o.First+sent, size, o.Size), o.Wait)
		sent += n
		if err != nil {
			return sent, err
		}
		if o.Op == "stream" {
			r.say(report{N: sent})
		}
	}
	return sent, nil
}

// fetch takes up to count letters, with wait exactly so many.
func (r *role) fetch(ctx context.Context, count int, wait bool) ([]letter, error) {
	var ls []letter
	for len(ls) < count {
		ds := make([]protocol.Delivery, count-len(ls))
		n, err := r.box.Fetch(ctx, ds, wait)
		if n == 0 || err != nil {
			return ls, err
		}
		for _, d := range ds[:n] {
			l, err := readLetter(d)
			if err != nil {
				return ls, err
			}
			ls = append(ls, l)
		}
		r.held = append(r.held, ds[:n]...)
	}
	return ls, nil
}

// ack acknowledges the first count of the letters held.
func (r *role) ack(ctx context.Context, count int) error {
	err := r.box.Ack(ctx, r.held[:count])
	r.held = r.held[count:]
	return err
}

// consume fetches and acknowledges. Before it acknowledges letters it says
// them, afterwards how many are on record.
func (r *role) consume(ctx context.Context, o order) error {
	for done := 0; o.Count == 0 || done < o.Count; {
		ds := make([]protocol.Delivery, o.Batch)
		n, err := r.box.Fetch(ctx, ds, true)
		if err != nil {
			return err
		}
		ls := make([]letter, n)
		for i, d := range ds[:n] {
			if ls[i], err = readLetter(d); err != nil {
				return err
			}
		}
		r.say(report{Letters: ls})
		if err := r.box.Ack(ctx, ds[:n]); err != nil {
			return err
		}
		done += n
		r.say(report{N: done})
	}
	return nil
}

// matches names the sentinels that err matches: an error does not travel whole.
func matches(err error) []string {
	var is []string
	for _, target := range []error{
		io.EOF, errors.ErrUnsupported,
		protocol.ErrClosed, protocol.ErrEnding, protocol.ErrFull, protocol.ErrNoPeer, protocol.ErrNoStore,
		protocol.ErrOwned, protocol.ErrPeerActive, protocol.ErrPeerCrashed, protocol.ErrPeerGone,
		protocol.ErrPeerSuspended, protocol.ErrStoreExists, protocol.ErrTooLarge, protocol.ErrUnsure,
	} {
		if errors.Is(err, target) {
			is = append(is, target.Error())
		}
	}
	return is
}
