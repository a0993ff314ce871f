//go:build linux && !ipcmgr_fallback

package shm

import (
	"encoding/binary"
	"math/bits"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// outlet is the writing side of a ring. Its user has a lock.
type outlet struct {
	*ring
	marks marks  // of the mailbox
	end   uint64 // what the tail is, if nobody has ended the ring
	free  uint64 // the head as it was last seen
	calm  int    // how often it was drained, in a row, of little
}

// put writes as many leading frames as there is room for, and does not publish
// them. It returns how many, their bytes, and the tail that publishes them.
func (o *outlet) put(frames []protocol.Frame) (n, bytes int, tail uint64) {
	pos := o.end
	for _, f := range frames {
		need := span(len(f.Data))
		off := pos & o.mask
		pad := uint64(0)
		if rest := o.size() - off; rest < need {
			pad = rest
		}
		if !o.fits(pos + pad + need) {
			break
		}
		if pad > 0 {
			o.begin(pos, recordMark|flagPad|(pad-8))
			pos += pad
			off = 0
		}
		copy(o.room[off+8:], f.Data)
		o.begin(pos, recordMark|uint64(len(f.Data)))
		pos += need
		n++
		bytes += len(f.Data)
	}
	return n, bytes, pos
}

// begin writes the word of a record. Nobody reads it before it is published,
// which orders it.
func (o *outlet) begin(pos, word uint64) {
	off := pos & o.mask
	binary.NativeEndian.PutUint64(o.room[off:off+8], word)
}

// fits says whether records may reach up to end. A head that is no position of
// this ring is no reason to write over what is not read.
func (o *outlet) fits(end uint64) bool {
	if end-o.free <= o.size() {
		return true
	}
	if head := o.head.Load(); head <= o.end && head >= o.free {
		o.free = head
	}
	return end-o.free <= o.size()
}

// publish moves the tail. It fails if somebody has ended the ring: nothing that
// was put since the last time is there, then.
func (o *outlet) publish(tail uint64) bool {
	if !o.tail.CompareAndSwap(o.end, tail) {
		return false
	}
	o.end = tail
	return true
}

// lull is how often a ring must be drained of little before it is given back. To
// make one costs as much as thousands of messages.
const lull = 1000

// idle says whether the ring has long been much too large.
func (o *outlet) idle(need uint64) bool {
	if o.head.Load() != o.end {
		return false
	}
	if o.calm++; max(need, o.end-o.free) > o.size()/16 {
		o.calm = 0
	}
	o.free = o.end
	return o.calm > lull
}

const (
	roomy  = 1 << 20 // above this an idle ring is given back
	growth = 4
)

// roomFor is the room of the ring that follows one of size bytes, or the first,
// to a mailbox that holds pending bytes: enough for a frame that takes need. A
// ring that is full though little is pending has a message at its head that
// stays unacknowledged, and needs no larger one after it.
func roomFor(size, need uint64, pending int) int {
	room := min(growth*size, growth*uint64(pending))
	if room > 64<<20 { // of a large one, twice what it holds is room enough
		room = min(room, 2*uint64(pending))
	}
	return 1 << bits.Len64(min(max(minRoom, need, room), maxRoom)-1)
}
