package mem

import (
	"maps"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// maxRejected is how many messages that were set aside a store keeps.
const maxRejected = 1000

// store is what all handles on one route share. One lock guards it with all of
// its mailboxes and clients: a protocol in memory is short of nothing that
// finer locks would give.
type store struct {
	route    string
	settings protocol.Settings

	mu        sync.Mutex
	owner     *handle // nil: nobody
	ending    bool
	unspawned bool
	rev       uint64
	moved     chan struct{} // closed when rev grows
	mailboxes map[string]*mailbox
	records   map[string]*record
	rejected  []Rejection
}

// record is what is remembered of an id after its client has left.
type record struct {
	epoch uint64
	stats []byte // nil: never left any
}

func newStore(route string, s protocol.Settings) *store {
	return &store{
		route:     route,
		settings:  s,
		rev:       1,
		moved:     make(chan struct{}),
		mailboxes: map[string]*mailbox{},
		records:   map[string]*record{},
	}
}

// change tells those who wait in Changed.
func (st *store) change() {
	st.rev++
	close(st.moved)
	st.moved = make(chan struct{})
}

// note returns the record of id, made if need be.
func (st *store) note(id string) *record {
	r := st.records[id]
	if r == nil {
		r = &record{}
		st.records[id] = r
	}
	return r
}

func (st *store) reject(r Rejection) {
	if len(st.rejected) == maxRejected {
		st.rejected = st.rejected[1:]
	}
	st.rejected = append(st.rejected, r)
}

// forget drops a mailbox with all that is in it.
func (st *store) forget(b *mailbox) {
	b.gone = true
	b.admit()
	b.stopTimer()
	delete(st.mailboxes, b.id)
	st.change()
}

// unspawn ends everything under way; the table has forgotten the store already.
func (st *store) unspawn() {
	st.unspawned = true
	st.owner = nil
	for _, b := range st.mailboxes {
		if b.holder != nil {
			b.holder.finish(protocol.ErrNoStore)
		}
		st.forget(b)
	}
	st.change()
}

// take makes c the holder of the mailbox under its id, as mode allows.
func (st *store) take(c *client, mode protocol.Mode, attrs map[string]string) error {
	b := st.mailboxes[c.id]
	switch {
	case b == nil && mode == protocol.Reconnect:
		return protocol.ErrNoPeer
	case b == nil:
		b = &mailbox{st: st, id: c.id, handed: map[uint64]message{}}
		st.mailboxes[c.id] = b
		c.found = protocol.Gone
	case b.state == protocol.Active:
		return protocol.ErrPeerActive
	case mode == protocol.New && b.state == protocol.Suspended:
		return protocol.ErrPeerSuspended
	case mode == protocol.New:
		return protocol.ErrPeerCrashed
	default:
		c.found = b.state
	}
	r := st.note(c.id)
	r.epoch++
	c.epoch, c.box, c.attrs, c.stats = r.epoch, b, b.attrs, r.stats
	if attrs != nil {
		b.attrs = maps.Clone(attrs)
	}
	b.holder = c
	b.until = time.Time{}
	b.stopTimer()
	b.enter(protocol.Active)
	return nil
}
