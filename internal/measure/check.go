package measure

import (
	"fmt"
	"sync/atomic"
)

// check is what a receiver knows of the messages that are to come.
type check struct {
	size      int
	next      uint64 // the first that has not come
	unordered bool
	early     map[uint64]bool // unordered: those that came before next did
	end       uint64          // with last set: the message that ended the turn

	seen   uint64
	passed atomic.Uint64 // what seen was lately, for others to look at
}

// see takes note of a message. It wants no more when the turn is over and all
// have come.
func (c *check) see(b []byte) (more bool, err error) {
	if c.seen++; c.seen%16 == 0 {
		c.passed.Store(c.seen)
	}
	n, err := number(b, c.size)
	switch {
	case err != nil:
		return false, err
	case n == c.next:
		c.next++
	case n&last != 0:
		c.end = n
	default:
		if err := c.stray(n); err != nil {
			return false, err
		}
	}
	for len(c.early) > 0 && c.early[c.next] {
		delete(c.early, c.next)
		c.next++
	}
	if c.end == 0 || c.end == last|c.next {
		return c.end == 0, nil
	}
	if c.unordered && c.next < c.end&^last {
		return true, nil
	}
	return false, fmt.Errorf("%d messages were sent and %d came", c.end&^last, c.next)
}

// stray takes note of a message that is not the next.
func (c *check) stray(n uint64) error {
	if n < c.next || c.early[n] {
		return fmt.Errorf("message %d came again", n)
	}
	if !c.unordered {
		return fmt.Errorf("message %d came where %d should: lost, or out of order", n, c.next)
	}
	if c.early == nil {
		c.early = map[uint64]bool{}
	}
	c.early[n] = true
	return nil
}

// turn begins the next turn.
func (c *check) turn(size int, unordered bool) {
	c.size, c.unordered, c.end = size, unordered, 0
}
