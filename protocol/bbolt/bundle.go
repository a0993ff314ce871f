package bbolt

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// A bundle is messages of one Deliver, with numbers that follow each other, as
// one value of the file: for each its size in four bytes, and its bytes. So a
// batch costs a few values and not one for each message. Its key is the first
// and the last number.
type bundle struct {
	span
	data []byte
}

const (
	sizeBytes = 4
	// bundleBytes is what a bundle has at most, unless its first message alone
	// has more. Bolt writes the last two to four values anew with each commit,
	// so larger ones are not better.
	bundleBytes = 16 << 10
)

// parcel is what one Deliver adds: bundles whose messages are numbered from 1
// on, and the memory that they are in.
type parcel struct {
	buf     []byte
	bundles []bundle
}

var parcels = sync.Pool{New: func() any { return new(parcel) }}

// pack copies frames.
func pack(frames []protocol.Frame) *parcel {
	p := parcels.Get().(*parcel)
	size := 0
	for _, f := range frames {
		size += sizeBytes + len(f.Data)
	}
	buf := slices.Grow(p.buf[:0], size) // it does not move from here on
	p.bundles = p.bundles[:0]
	start := 0
	for i, f := range frames {
		if i == 0 || len(buf)-start+sizeBytes+len(f.Data) > bundleBytes {
			p.bundles, start = append(p.bundles, bundle{span: span{first: uint64(i) + 1}}), len(buf)
		}
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(f.Data)))
		buf = append(buf, f.Data...)
		b := &p.bundles[len(p.bundles)-1]
		b.last, b.data = uint64(i)+1, buf[start:]
	}
	p.buf = buf
	return p
}

// free lets the memory be used again, unless it is much.
func (p *parcel) free() {
	if cap(p.buf) <= 1<<20 {
		parcels.Put(p)
	}
}

// cut takes the first message off data, with its size.
func cut(data []byte) (one, rest []byte) {
	if len(data) < sizeBytes {
		panic(fmt.Sprintf("a bundle ends %d bytes into a message's size", len(data)))
	}
	end := sizeBytes + uint64(binary.BigEndian.Uint32(data))
	if end > uint64(len(data)) {
		panic(fmt.Sprintf("a message of %d bytes where a bundle has %d left", end-sizeBytes, len(data)-sizeBytes))
	}
	return data[:end:end], data[end:]
}

// from calls visit for each message from number n on, until it returns false,
// and says whether it came to the end.
func (b bundle) from(n uint64, visit func(n uint64, frame []byte) bool) bool {
	var one []byte
	rest := b.data
	for at := b.first; at <= b.last; at++ {
		one, rest = cut(rest)
		if at >= n && !visit(at, one[sizeBytes:]) {
			return false
		}
	}
	return true
}

// without is what is left of the bundle when some are acknowledged.
func (b bundle) without(acked spans) (left []bundle) {
	var one []byte
	rest := b.data
	for n := b.first; n <= b.last; n++ {
		one, rest = cut(rest)
		if acked.have(n) {
			continue
		}
		if k := len(left) - 1; k >= 0 && left[k].extend(n) {
			left[k].data = append(left[k].data, one...)
		} else {
			left = append(left, bundle{span{n, n}, one})
		}
	}
	return left
}
