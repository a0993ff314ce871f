package measure

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// MinSize is the size of the smallest message: a checksum and a number.
const MinSize = 12

// last is set in the number of the message that ends a turn.
const last = 1 << 63

var polynomial = crc32.MakeTable(crc32.Castagnoli)

// slot is the memory of one message to send.
type slot struct {
	bytes []byte
	boxed any // bytes, boxed once
}

func newSlot(size int) slot {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i)
	}
	return slot{b, b}
}

// stamp makes the slot message n.
func (s *slot) stamp(n uint64) {
	binary.LittleEndian.PutUint64(s.bytes[4:], n)
	binary.LittleEndian.PutUint32(s.bytes, crc32.Checksum(s.bytes[4:], polynomial))
}

// number gives that of a message that is whole.
func number(b []byte, size int) (uint64, error) {
	if len(b) != size {
		return 0, fmt.Errorf("a message has %d bytes and not %d", len(b), size)
	}
	if binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:], polynomial) {
		return 0, fmt.Errorf("a message is damaged")
	}
	return binary.LittleEndian.Uint64(b[4:]), nil
}
