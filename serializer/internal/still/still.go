// Package still gives decoders bytes that stay as they are. Content may lie in
// memory that another process writes to: who looks at it twice may see two
// things, and what was checked is not what is read.
package still

import "sync"

// keep is up to how much room is kept for the next copy.
const keep = 64 << 10

var pool = sync.Pool{New: func() any { return new(Copy) }}

// Copy is a copy of bytes, its own.
type Copy struct{ Bytes []byte }

// Of copies data.
func Of(data []byte) *Copy {
	c := pool.Get().(*Copy)
	c.Bytes = append(c.Bytes[:0], data...)
	return c
}

// Free gives the room back: nobody may look at the copy any more.
func (c *Copy) Free() {
	if cap(c.Bytes) <= keep {
		pool.Put(c)
	}
}
