package mem

import (
	"maps"
	"slices"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// mailbox is what the store keeps for one client, connected or not. All of it
// is guarded by the store's lock.
type mailbox struct {
	st     *store
	id     string
	holder *client // nil unless active
	state  protocol.State
	since  time.Time
	until  time.Time
	late   *time.Timer // tells blocked senders that a suspension is overdue
	attrs  map[string]string
	sealed bool
	gone   bool

	ready   []message
	handed  map[uint64]message // fetched, by tag
	tag     uint64             // the last one given; grows, so that tags tell the order of fetching
	count   int                // unacknowledged messages,
	bytes   int                // and their size
	senders []*sender          // blocked, in the order in which they came
}

type message struct {
	from  string
	data  []byte
	again bool
}

// sender is one Deliver that waits for room. Whoever makes room accepts its
// frames for it, so that nobody overtakes it.
type sender struct {
	from   string
	frames []protocol.Frame
	done   chan struct{} // closed when the mailbox has decided
	err    error
}

func (b *mailbox) enter(s protocol.State) {
	b.state = s
	b.since = time.Now()
	b.st.change()
}

func (b *mailbox) peer() protocol.Peer {
	return protocol.Peer{
		ID: b.id, PID: self.PID, Start: self.Start,
		State: b.state, Since: b.since, Until: b.until, Attrs: maps.Clone(b.attrs),
	}
}

// refuses says why the mailbox takes no message, however long one waits.
func (b *mailbox) refuses() error {
	if b.st.unspawned {
		return protocol.ErrNoStore
	}
	p := protocol.Peer{State: b.state, Until: b.until}
	if b.gone || b.sealed || p.Overdue(time.Now()) {
		return protocol.ErrPeerGone
	}
	return nil
}

func (b *mailbox) full() bool {
	s := &b.st.settings
	return s.MaxPending > 0 && b.count >= s.MaxPending || s.MaxBytes > 0 && b.bytes >= s.MaxBytes
}

// accept queues a batch, copied into one piece of memory.
func (b *mailbox) accept(from string, frames []protocol.Frame) {
	size := 0
	for _, f := range frames {
		size += len(f.Data)
	}
	slab := make([]byte, 0, size)
	for _, f := range frames {
		at := len(slab)
		slab = append(slab, f.Data...)
		b.ready = append(b.ready, message{from: from, data: slab[at:len(slab):len(slab)]})
	}
	b.count += len(frames)
	b.bytes += size
	if b.holder != nil {
		b.holder.wake()
	}
}

// admit decides about the blocked senders, as far as that is possible now.
func (b *mailbox) admit() {
	for len(b.senders) > 0 {
		err := b.refuses()
		if err == nil && b.full() {
			return
		}
		s := b.senders[0]
		b.senders = b.senders[1:]
		if err == nil {
			b.accept(s.from, s.frames)
		}
		s.err = err
		close(s.done)
	}
}

// fetch moves messages into ds, at most max bytes unless the first has more.
func (b *mailbox) fetch(ds []protocol.Delivery, max int) int {
	n, size := 0, 0
	for n < len(ds) && n < len(b.ready) {
		m := b.ready[n]
		size += len(m.data)
		if n > 0 && size > max {
			break
		}
		b.tag++
		b.handed[b.tag] = m
		ds[n] = protocol.Delivery{From: m.from, Data: m.data, Tag: b.tag, Redelivered: m.again}
		b.ready[n] = message{}
		n++
	}
	b.ready = b.ready[n:]
	return n
}

// settle forgets a fetched message. A tag that is not known was settled before.
func (b *mailbox) settle(tag uint64) {
	m, ok := b.handed[tag]
	if !ok {
		return
	}
	delete(b.handed, tag)
	b.count--
	b.bytes -= len(m.data)
}

// putBack makes everything that was fetched ready again, before all that was
// not: first what is in back, marked, then the rest in the order in which it
// was fetched, marked if mark.
func (b *mailbox) putBack(back []protocol.Delivery, mark bool) {
	ready := make([]message, 0, len(b.handed)+len(b.ready))
	for _, d := range back {
		if m, ok := b.handed[d.Tag]; ok {
			m.again = true
			ready = append(ready, m)
			delete(b.handed, d.Tag)
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(b.handed)) {
		m := b.handed[tag]
		m.again = m.again || mark
		ready = append(ready, m)
	}
	clear(b.handed)
	b.ready = append(ready, b.ready...)
}

// suspend keeps the mailbox for the holder's return.
func (b *mailbox) suspend(d protocol.Departure) {
	b.putBack(d.Back, false)
	b.holder, b.sealed = nil, false
	b.until = d.Until
	b.enter(protocol.Suspended)
	if !d.Until.IsZero() {
		// A moment after the deadline, because at the deadline itself the peer
		// is not overdue.
		b.late = time.AfterFunc(time.Until(d.Until)+1, func() {
			b.st.mu.Lock()
			defer b.st.mu.Unlock()
			b.admit()
		})
	}
	b.admit()
}

// crash makes the holder look killed.
func (b *mailbox) crash() {
	b.holder.finish(protocol.ErrClosed)
	b.putBack(nil, true)
	b.holder, b.sealed = nil, false
	b.enter(protocol.Crashed)
}

func (b *mailbox) stopTimer() {
	if b.late != nil {
		b.late.Stop()
		b.late = nil
	}
}
