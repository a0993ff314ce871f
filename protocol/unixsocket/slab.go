//go:build unix

package unixsocket

const (
	slabSize   = 1 << 17 // bytes of a slab, unless one message needs more
	spareSlabs = 8       // that are kept for use
)

// slab is memory for many messages. It is used again when nobody refers to it:
// neither who fills it nor a message that is not acknowledged.
type slab struct {
	buf  []byte
	used int
	refs int // guarded by the inbox's lock
}

// room is how many bytes are free.
func (s *slab) room() int { return len(s.buf) - s.used }

// keep copies data into the slab, where there is room.
func (s *slab) keep(data []byte) []byte {
	at := s.used
	s.used += copy(s.buf[at:], data)
	return s.buf[at:s.used:s.used]
}

// exchange gives who fills old, which may be nil, a slab with room for size
// bytes instead.
func (b *inbox) exchange(old *slab, size int) *slab {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.swap(old, size)
}

// swap is exchange with the lock held.
func (b *inbox) swap(old *slab, size int) *slab {
	b.drop(old)
	if last := len(b.spare) - 1; last >= 0 && size <= slabSize {
		s := b.spare[last]
		b.spare = b.spare[:last]
		s.refs = 1
		return s
	}
	return &slab{buf: make([]byte, max(size, slabSize)), refs: 1}
}

// drop gives up one reference.
func (b *inbox) drop(s *slab) {
	if s == nil {
		return
	}
	if s.refs--; s.refs == 0 && len(b.spare) < spareSlabs && len(s.buf) == slabSize {
		s.used = 0
		b.spare = append(b.spare, s)
	}
}
