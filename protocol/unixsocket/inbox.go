//go:build unix

package unixsocket

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// fetchLimit is how many bytes one Fetch gives, unless its first message has more.
const fetchLimit = 1 << 20

// inbox has the messages that are taken in and not acknowledged: those that
// wait for Fetch, and those that it gave out.
type inbox struct {
	mu    sync.Mutex
	all   []message
	free  []uint32    // places in all
	ready []uint32    // those that wait, from next on
	next  int         // in ready
	some  atomic.Bool // whether any waits

	count, bytes int // unacknowledged
	sealed       bool
	own          *slab // what the client sends to itself goes here
	spare        []*slab
	stalled      []*conn // not read because of too much
}

// message is a place for one that was taken in. A tag is the place's turn and, in
// the low half, its number from 1 on.
type message struct {
	from string
	data []byte
	slab *slab  // nil if the bytes have memory of their own
	turn uint32 // odd while the place is taken
}

// push adds frames that lie in s, which may be nil, and returns their size.
func (b *inbox) push(from string, frames [][]byte, s *slab) (size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range frames {
		b.add(from, f, s)
		size += len(f)
	}
	return size
}

func (b *inbox) add(from string, frame []byte, s *slab) {
	var at uint32
	if last := len(b.free) - 1; last >= 0 {
		at, b.free = b.free[last], b.free[:last]
	} else {
		at = uint32(len(b.all))
		b.all = append(b.all, message{})
	}
	b.all[at] = message{from, frame, s, b.all[at].turn + 1}
	b.ready = append(b.ready, at)
	b.some.Store(true)
	b.count++
	b.bytes += len(frame)
	if s != nil {
		s.refs++
	}
}

// pushOwn adds copies of what the client sends to itself, of the given size
// together, unless the inbox is sealed.
func (b *inbox) pushOwn(id string, frames []protocol.Frame, size int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sealed {
		return false
	}
	s := b.own
	if size > largeFrame {
		s = &slab{buf: make([]byte, size)} // nobody fills it further
	} else if s == nil || s.room() < size {
		s = b.swap(s, size)
		b.own = s
	}
	for _, f := range frames {
		b.add(id, s.keep(f.Data), s)
	}
	return true
}

// seal refuses what the client sends to itself from now on.
func (b *inbox) seal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sealed = true
}

// take moves messages into ds.
func (b *inbox) take(ds []protocol.Delivery) (n int) {
	if !b.some.Load() {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for size := 0; n < len(ds) && b.next < len(b.ready); n++ {
		at := b.ready[b.next]
		msg := &b.all[at]
		if size += len(msg.data); n > 0 && size > fetchLimit {
			break
		}
		ds[n] = protocol.Delivery{From: msg.from, Data: msg.data, Tag: uint64(msg.turn)<<32 | uint64(at+1)}
		b.next++
	}
	if b.next == len(b.ready) || b.next > 1024 && b.next > len(b.ready)/2 {
		b.ready = slices.Delete(b.ready, 0, b.next)
		b.next = 0
		b.some.Store(len(b.ready) > 0)
	}
	return n
}

// data gives the bytes of a message that is not acknowledged.
func (b *inbox) data(tag uint64) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	msg := b.find(tag)
	if msg == nil {
		return nil, false
	}
	return msg.data, true
}

func (b *inbox) find(tag uint64) *message {
	at, turn := uint32(tag)-1, uint32(tag>>32)
	if uint64(at) >= uint64(len(b.all)) || turn%2 == 0 || b.all[at].turn != turn {
		return nil
	}
	return &b.all[at]
}

// settle forgets messages that were given out and says how many, and of what
// size, there were. A tag that is not known was settled before.
func (b *inbox) settle(ds []protocol.Delivery) (msgs, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range ds {
		msg := b.find(ds[i].Tag)
		if msg == nil {
			continue
		}
		msgs++
		bytes += len(msg.data)
		b.drop(msg.slab)
		*msg = message{turn: msg.turn + 1}
		b.free = append(b.free, uint32(ds[i].Tag)-1)
	}
	b.count -= msgs
	b.bytes -= bytes
	return msgs, bytes
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
