//go:build linux && !ipcmgr_fallback

package shm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/internal/step"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// peers are the mailboxes that a client has sent to.
type peers struct {
	life   uint32        // of this client, in the names of its rings
	rings  atomic.Uint64 // made by this client
	recent atomic.Pointer[peer]

	mu    sync.Mutex
	byID  map[string]*peer
	swept int // how many stayed when those that were gone were last let go
}

// sweep lets go of peers that have left for good, now and then. The caller has
// the lock.
func (ps *peers) sweep() {
	if len(ps.byID) < 2*ps.swept+16 {
		return
	}
	for id, p := range ps.byID {
		if !p.mu.TryLock() {
			continue // in use
		}
		if p.visitor == nil || p.visitor.Sealed() {
			delete(ps.byID, id)
			ps.recent.CompareAndSwap(p, nil)
			p.end()
		}
		p.mu.Unlock()
	}
	ps.swept = len(ps.byID)
}

// end ends the use of all. No other begins.
func (ps *peers) end() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.byID {
		p.mu.Lock()
		p.end()
		p.mu.Unlock()
	}
}

// peer is a mailbox that a client sends to. It is for one life of that mailbox:
// what was removed and made anew is another one.
type peer struct {
	id      string
	box     string
	visitor *gate.Visitor
	slot    slot
	limits  [2]int // of the mailbox: messages, bytes

	mu      sync.Mutex
	out     *outlet // nil until there is something to send
	waiting int     // for room
	stale   bool
}

// peer finds a peer, as it is known or anew.
func (m *mailbox) peer(id string) (*peer, error) {
	if p := m.peers.recent.Load(); p != nil && p.id == id {
		return p, nil
	}
	m.peers.mu.Lock()
	defer m.peers.mu.Unlock()
	if m.left.Load() {
		return nil, protocol.ErrClosed
	}
	p := m.peers.byID[id]
	if p == nil {
		seen, err := m.store.Look(id)
		if err != nil {
			return nil, err
		}
		if p, err = m.find(seen); err != nil {
			return nil, err
		}
		m.peers.sweep()
		m.peers.byID[id] = p
	}
	m.peers.recent.Store(p)
	return p, nil
}

func (m *mailbox) find(seen roster.Seen) (*peer, error) {
	p := &peer{
		id: seen.ID, box: m.store.Box(seen.Key), slot: slotOf(m.entry.Key),
		limits: [2]int{m.msgLimit, m.byteLimit},
	}
	var err error
	p.visitor, err = gate.Visit(p.box, m.lobby)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: it is leaving", protocol.ErrPeerGone)
	}
	return p, err
}

// forgetPeer makes the next Deliver find the peer anew.
func (m *mailbox) forgetPeer(p *peer) {
	m.peers.mu.Lock()
	if m.peers.byID[p.id] == p {
		delete(m.peers.byID, p.id)
	}
	m.peers.recent.CompareAndSwap(p, nil)
	m.peers.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
}

// end ends the use of the peer, as soon as nobody waits there for room. The
// caller has its lock.
func (p *peer) end() {
	if !p.stale {
		p.stale = true
		p.finish()
	}
	p.closeUnused()
}

func (p *peer) closeUnused() {
	if p.stale && p.waiting == 0 && p.visitor != nil {
		p.visitor.Close()
		p.visitor = nil
	}
}

// finish ends the ring there is. Its reader removes it when it has read all.
func (p *peer) finish() {
	if p.out == nil {
		return
	}
	p.out.tail.Or(over)
	step.Here("ended")
	p.out.marks.set(p.slot)
	p.out.marks.Close()
	p.out.unmap()
	p.out = nil
}

// wait waits for room.
func (p *peer) wait(ctx context.Context) error {
	p.mu.Lock()
	if p.stale {
		p.mu.Unlock()
		return nil // the caller finds the peer anew
	}
	p.waiting++
	p.mu.Unlock()
	err := p.visitor.Admit(ctx, p.limits[0], p.limits[1], true)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting--
	p.closeUnused()
	return err
}

// begin makes a ring in which a frame that takes need bytes has room, and ends
// the one there was.
func (m *mailbox) begin(p *peer, need uint64) error {
	_, pending := p.visitor.Pending()
	number := m.peers.rings.Add(1)
	name := ringName{epoch: m.entry.Epoch, life: m.peers.life, number: number, key: m.entry.Key}
	draft := filepath.Join(m.box, draftDir, name.String())
	size := uint64(0)
	if p.out != nil {
		size = p.out.size()
	}
	r, err := makeLargest(draft, roomFor(size, need, pending), need)
	if err != nil {
		return m.store.orFull(fmt.Errorf("make a ring: %w", orUnspawned(err)))
	}
	step.Here("drafted")
	// Those of before may be lost, and others in their place.
	marks, err := openMarks(p.box)
	if err != nil {
		return p.discard(r, draft, err)
	}
	p.finish()
	step.Here("finished")
	if err := os.Rename(draft, filepath.Join(p.box, ringsDir, name.String())); err != nil {
		marks.Close()
		return p.discard(r, draft, err)
	}
	step.Here("placed")
	if p.visitor.Sealed() {
		// Its place may be in the peer's next life, of which the gate that is
		// rung here knows nothing.
		r.tail.Or(over)
		r.unmap()
		marks.Close()
		_ = os.Remove(filepath.Join(p.box, ringsDir, name.String())) // or a goodbye has moved it, and removes it
		return fmt.Errorf("%w: it is leaving", protocol.ErrPeerGone)
	}
	p.out = &outlet{ring: r, marks: marks}
	// The reader takes the ring in, and begins to watch this process, before or
	// after the first message; in either case it looks for that afterwards.
	marks.Add(wordMade, 1)
	step.Here("announced")
	p.visitor.Ring()
	step.Here("rung")
	return nil
}

// makeLargest makes the ring that there is memory for, of room bytes at most.
func makeLargest(path string, room int, need uint64) (*ring, error) {
	for {
		r, err := makeRing(path, room)
		if !errors.Is(err, unix.ENOSPC) || room/2 < minRoom || uint64(room)/2 < need {
			return r, err
		}
		room /= 2
	}
}

// discard removes the draft of a ring that could not be placed, and says why it
// could not.
func (p *peer) discard(r *ring, draft string, why error) error {
	r.unmap()
	err := os.Remove(draft)
	switch {
	case err != nil:
		return errors.Join(why, orUnspawned(err))
	case errors.Is(why, fs.ErrNotExist):
		return fmt.Errorf("%w: it is leaving", protocol.ErrPeerGone)
	}
	return why
}

// orUnspawned says what it means that something of the client's own mailbox is
// missing.
func orUnspawned(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: it was unspawned", protocol.ErrNoStore)
	}
	return err
}
