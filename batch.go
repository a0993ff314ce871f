package ipcmgr

import (
	"fmt"
	"math"
	"slices"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// A batch has room for so many messages at first, and for up to so many when
// they keep coming: enough that the cost of a Fetch is shared by many, few
// enough that a crash redelivers few.
const (
	smallBatch = 8
	largeBatch = 256
)

// batch is what messages share that were fetched together, or in a few goes
// when few come at a time. Its slices run in parallel; the inbox guards it.
type batch struct {
	client   *client
	messages []Message // programs have pointers to them: they are not used again
	slots
	extras map[uint16][]serializer.Field // parts we do not know, of those that have any
	used   int                           // slots that messages lie in
	open   int                           // messages that are not on record yet
	full   bool                          // nothing is fetched into it any more
}

// slots are the parts of a batch that serve one after the other.
type slots struct {
	deliveries []protocol.Delivery
	contents   [][]byte
}

// room returns the batch to fetch into.
func (in *inbox) room(c *client) *batch {
	in.mu.Lock()
	defer in.mu.Unlock()
	b := in.batch
	size := smallBatch
	if b != nil {
		if size = len(b.messages); b.used <= size*3/4 {
			return b
		}
		size = min(4*size, largeBatch)
		b.full = true
		in.reuse(b)
	}
	if len(in.slots.deliveries) != size {
		in.slots = slots{make([]protocol.Delivery, size), make([][]byte, size)}
	}
	in.batch = &batch{client: c, messages: make([]Message, size), slots: in.slots}
	in.slots = slots{}
	in.ids.Reset()
	in.ids.Grow(size * idLen)
	return in.batch
}

// reuse keeps what another batch can use of one that nobody needs any more.
func (in *inbox) reuse(b *batch) {
	if b.full && b.open == 0 {
		in.slots = b.slots
		b.slots, b.extras = slots{}, nil
	}
}

// pin gives what one of its messages says, and keeps that where it is.
func (b *batch) pin(m *Message) (body, error) {
	in := &b.client.in
	in.mu.Lock()
	defer in.mu.Unlock()
	if m.state != handed {
		return body{}, m.stateError()
	}
	pins := &b.messages[m.slot].pins // m may be another that has come to stand for it
	if *pins == math.MaxUint8 {
		return body{}, fmt.Errorf("message %s from %q is being decoded %d times at once", m.ID, m.From, *pins)
	}
	*pins++
	in.pinned++
	return body{ser: b.client.store.ser, content: b.contents[m.slot], extra: b.extras[m.slot]}, nil
}

// keepExtra keeps what a foreign writer added to one of its messages.
func (b *batch) keepExtra(slot int, extra []serializer.Field) {
	b.client.in.mu.Lock()
	defer b.client.in.mu.Unlock()
	if b.extras == nil {
		b.extras = map[uint16][]serializer.Field{}
	}
	b.extras[uint16(slot)] = slices.Clone(extra)
}

// run is some messages of a batch that lie side by side.
type run struct {
	batch    *batch
	from, to uint16
}

func (m *Message) run() run { return run{m.batch, m.slot, m.slot + 1} }

// pinned says whether any of them is being decoded. The inbox is locked.
func (r run) pinned() bool {
	for i := range r.messages() {
		if r.messages()[i].pins > 0 {
			return true
		}
	}
	return false
}

func (r run) messages() []Message { return r.batch.messages[r.from:r.to] }

func (r run) deliveries() []protocol.Delivery { return r.batch.deliveries[r.from:r.to] }

// add appends a message to runs, in the last of them if it lies behind it.
func add(runs []run, m *Message) []run {
	if n := len(runs); n > 0 && runs[n-1].batch == m.batch && runs[n-1].to == m.slot {
		runs[n-1].to++
		return runs
	}
	return append(runs, m.run())
}

// forget lets go of messages that are on record, or set aside.
func (in *inbox) forget(r run) {
	clear(r.deliveries())
	clear(r.batch.contents[r.from:r.to])
	r.batch.open -= int(r.to - r.from)
	in.reuse(r.batch)
}
