//go:build unix

package unixsocket

import (
	"encoding/binary"
	"sync"

	"github.com/ipcmgr/ipcmgr/protocol"
)

const (
	chunkSize  = 1 << 16 // bytes that are copied into one write
	headerSize = 4       // a frame is its length, big endian, and as many bytes
)

// parcel is what one Deliver brings.
type parcel struct {
	frames []protocol.Frame
	size   int // of all of them
	wait   bool
	next   int  // the first that is not accepted
	begun  int  // bytes of it, and of its header, that are written
	gone   bool // its Deliver waits no longer; guarded by the mailbox's mu
	fate   chan fate
}

func isGone(p *parcel) bool { return p.gone }

// fate is how a parcel's time in a queue ends.
type fate int

const (
	holds   fate = iota // its Deliver holds the link
	carried             // it was taken along, and is accepted
	refused             // the holder waits, and it may not
)

var parcels = sync.Pool{New: func() any { return &parcel{fate: make(chan fate, 1)} }}

// whole says whether all of it is accepted.
func (p *parcel) whole() bool { return p.next == len(p.frames) }

// rest is what is left of a large frame whose header is written, or nil.
func (p *parcel) rest() []byte {
	data := p.frames[p.next].Data
	if p.begun < headerSize || len(data) <= chunkSize {
		return nil
	}
	return data[p.begun-headerSize:]
}

// pack appends frames to buf, from the first that is not accepted, until it has
// enough for one write: of a large one only the beginning.
func (p *parcel) pack(buf []byte) []byte {
	for _, f := range p.frames[p.next:] {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(f.Data)))
		buf = append(buf, f.Data[:min(len(f.Data), chunkSize)]...)
		if len(buf) >= chunkSize {
			break
		}
	}
	return buf
}

// wrote notes that n bytes more are written, and returns how many of them are
// another's, and how many frames, of what size, are accepted by that.
func (p *parcel) wrote(n int) (left, msgs, bytes int) {
	for n += p.begun; p.next < len(p.frames); p.next++ {
		size := len(p.frames[p.next].Data)
		if n < headerSize+size {
			p.begun = n
			return 0, msgs, bytes
		}
		n -= headerSize + size
		msgs++
		bytes += size
	}
	p.begun = 0
	return n, msgs, bytes
}
