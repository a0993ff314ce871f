//go:build linux && !ipcmgr_fallback

package shm

import (
	"fmt"
	"slices"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// chain is the rings of one sender, in the order in which it made them. A ring
// is read when the ones before it are read to their ends.
type chain struct {
	key    string
	slot   slot
	inlets []*inlet
	at     int  // of inlets, the one that is read
	queued bool // among those to be looked at
}

// add puts a ring into its place.
func (c *chain) add(i *inlet) {
	n, _ := slices.BinarySearchFunc(c.inlets, i, func(a, b *inlet) int { return a.name.compare(b.name) })
	c.inlets = slices.Insert(c.inlets, n, i)
	if n < c.at {
		c.at = n // never written to: what was read before it is acknowledged or in hand
	}
}

func (c *chain) remove(i *inlet) {
	n := slices.Index(c.inlets, i)
	c.inlets = slices.Delete(c.inlets, n, n+1)
	if n < c.at {
		c.at--
	}
}

// batch is what one Fetch hands out.
type batch struct {
	ds    []protocol.Delivery
	n     int
	bytes int
	bad   []error // what is no message, and is handed out like one
}

// fetchBytes is what one Fetch returns at most, unless one message has more.
const fetchBytes = 1 << 20

func (b *batch) full() bool { return b.n == len(b.ds) || b.bytes >= fetchBytes }

// read fetches messages from the chain. Of what is longer than limit only so much
// is handed out, which is no message. It returns the ring that is broken, if one
// is.
func (c *chain) read(b *batch, limit int) (broken *inlet, err error) {
	for c.at < len(c.inlets) {
		i := c.inlets[c.at]
		msgs, bytes, full := b.n, b.bytes, false
		for !full && !b.full() {
			start := i.pos
			m, ok, err := i.next()
			if err != nil {
				i.hand(b.n-msgs, b.bytes-bytes)
				return i, err
			}
			if !ok {
				break
			}
			if b.n > 0 && b.bytes+len(m.frame) > fetchBytes {
				i.pos = start
				full = true
				break
			}
			if m.bad {
				b.bad = append(b.bad, fmt.Errorf("%w: no record at %d of %v", errBroken, m.pos, i.name))
			} else if len(m.frame) > limit {
				b.bad = append(b.bad, fmt.Errorf("%w: a message of %d bytes, %d are allowed", errBroken, len(m.frame), limit))
			}
			data := m.frame[:min(len(m.frame), limit)]
			b.ds[b.n] = protocol.Delivery{Data: data, Tag: i.index<<tagBits | m.pos/8, Redelivered: m.again}
			b.n++
			b.bytes += len(m.frame)
		}
		i.hand(b.n-msgs, b.bytes-bytes)
		if full || b.full() || !i.closed && c.at == len(c.inlets)-1 {
			return nil, nil
		}
		if !i.closed {
			// Its sender has begun a later one. Who is still at work on this one
			// finds that it is over, and makes another.
			i.finish()
			continue
		}
		c.at++
	}
	return nil, nil
}

// hand puts on record what is about to be handed out.
func (i *inlet) hand(msgs, bytes int) {
	if msgs > 0 {
		i.out += msgs
		i.outBytes += bytes
		i.handed.Store(i.pos)
	}
}

// tagBits is how many bits of a tag say where in its ring a message is, in units
// of 8 bytes. The others say in which ring; none has the number 0.
const tagBits = 44
