//go:build unix

package unixsocket

import (
	"math"
	"sync"

	"github.com/ipcmgr/ipcmgr/protocol"
)

const (
	fetchLimit = 1 << 20 // bytes that one Fetch gives, unless its first message has more
	spareSlabs = 8       // that are kept for use
)

// message is one that was taken in.
type message struct {
	from string
	data []byte
	slab *slab // nil if the bytes have memory of their own
}

// inbox has the messages that are taken in and not acknowledged: those that
// wait for Fetch, and those that it gave out.
type inbox struct {
	mu    sync.Mutex
	ready []message // from next on
	next  int

	handed []handed // by the low half of a tag, less one
	free   []uint32 // places in it

	count, bytes int // unacknowledged
	sealed       bool
	spare        []*slab
	stalled      []*conn // not read because of too much
}

type handed struct {
	message
	turn uint32 // the high half of the tag; odd while the place is taken
}

// push adds frames that lie in s and returns their size.
func (b *inbox) push(from string, frames [][]byte, s *slab) (size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.add(from, frames, s)
}

func (b *inbox) add(from string, frames [][]byte, s *slab) (size int) {
	for _, f := range frames {
		b.ready = append(b.ready, message{from, f, s})
		size += len(f)
	}
	if s != nil {
		s.refs += len(frames)
	}
	b.count += len(frames)
	b.bytes += size
	return size
}

// pushOwn adds what the client sends to itself, unless the inbox is sealed.
func (b *inbox) pushOwn(id string, frames [][]byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.sealed {
		b.add(id, frames, nil)
	}
	return !b.sealed
}

// seal refuses what the client sends to itself from now on.
func (b *inbox) seal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sealed = true
}

// take moves messages into ds.
func (b *inbox) take(ds []protocol.Delivery) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for size := 0; n < len(ds) && b.next < len(b.ready); n++ {
		msg := &b.ready[b.next]
		if size += len(msg.data); n > 0 && size > fetchLimit {
			break
		}
		ds[n] = protocol.Delivery{From: msg.from, Data: msg.data, Tag: b.hand(*msg)}
		*msg = message{}
		b.next++
	}
	switch {
	case b.next == len(b.ready):
		b.ready, b.next = b.ready[:0], 0
		if cap(b.ready) > 1<<14 {
			b.ready = nil
		}
	case b.next > 1024 && b.next > len(b.ready)/2:
		left := copy(b.ready, b.ready[b.next:])
		clear(b.ready[left:])
		b.ready, b.next = b.ready[:left], 0
	}
	return n
}

// hand notes that a message is given out, and returns its tag.
func (b *inbox) hand(msg message) uint64 {
	var at uint32
	if last := len(b.free) - 1; last >= 0 {
		at, b.free = b.free[last], b.free[:last]
	} else {
		at = uint32(len(b.handed))
		b.handed = append(b.handed, handed{})
	}
	h := &b.handed[at]
	h.message = msg
	h.turn++
	return uint64(h.turn)<<32 | uint64(at+1)
}

// data gives the bytes of a message that is given out.
func (b *inbox) data(tag uint64) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.find(tag)
	if h == nil {
		return nil, false
	}
	return h.data, true
}

func (b *inbox) find(tag uint64) *handed {
	at := uint32(tag) - 1
	if uint32(tag) == 0 || int(at) >= len(b.handed) || b.handed[at].turn != uint32(tag>>32) || b.handed[at].turn%2 == 0 {
		return nil
	}
	return &b.handed[at]
}

// settle forgets messages that were given out and says how many, and of what
// size, there were. A tag that is not known was settled before.
func (b *inbox) settle(ds []protocol.Delivery) (msgs, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range ds {
		h := b.find(ds[i].Tag)
		if h == nil {
			continue
		}
		msgs++
		bytes += len(h.data)
		b.drop(h.slab)
		h.message = message{}
		h.turn++
		b.free = append(b.free, uint32(ds[i].Tag)-1)
	}
	b.count -= msgs
	b.bytes -= bytes
	return msgs, bytes
}

// exchange gives the reader a slab with room for size bytes instead of old,
// which may be nil.
func (b *inbox) exchange(old *slab, size int) *slab {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(old)
	if last := len(b.spare) - 1; last >= 0 && size <= slabSize {
		s := b.spare[last]
		b.spare = b.spare[:last]
		s.refs = 1
		return s
	}
	return &slab{buf: make([]byte, max(size, slabSize)), refs: 1}
}

func (b *inbox) drop(s *slab) {
	if s == nil {
		return
	}
	if s.refs--; s.refs == 0 && len(b.spare) < spareSlabs && len(s.buf) == slabSize {
		s.used = 0
		b.spare = append(b.spare, s)
	}
}

// waiting says whether there is something for Fetch.
func (b *inbox) waiting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next < len(b.ready)
}

// empty says whether all that was taken in is acknowledged.
func (b *inbox) empty() bool { return !b.full(1, math.MaxInt) }

// full says whether the inbox holds as much as given.
func (b *inbox) full(msgs, bytes int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count >= msgs || b.bytes >= bytes
}

// stall notes c as not to be read if the inbox holds as much as given.
func (b *inbox) stall(c *conn, msgs, bytes int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count < msgs && b.bytes < bytes {
		return false
	}
	b.stalled = append(b.stalled, c)
	return true
}

// revive gives the connections that are not read back for reading, if the
// inbox holds less than given.
func (b *inbox) revive(msgs, bytes int) []*conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.stalled) == 0 || b.count >= msgs || b.bytes >= bytes {
		return nil
	}
	cs := b.stalled
	b.stalled = nil
	return cs
}
