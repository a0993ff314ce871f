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

	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// peers are the mailboxes that a client has sent to.
type peers struct {
	rings  atomic.Uint64 // made by this client
	recent atomic.Pointer[peer]

	mu   sync.Mutex
	byID map[string]*peer
}

// peer is a mailbox that a client sends to. It is for one life of that mailbox:
// what was removed and made anew is another one.
type peer struct {
	id      string
	box     string
	visitor *gate.Visitor
	marks   marks
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
	if p.visitor, err = gate.Visit(p.box, m.lobby); err == nil {
		if p.marks, err = openMarks(p.box); err != nil {
			p.visitor.Close()
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: it is leaving", protocol.ErrPeerGone)
	}
	return p, err
}

// forget makes the next Deliver find the peer anew.
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
		p.marks.Close()
	}
}

// finish ends the ring there is. Its reader removes it when it has read all.
func (p *peer) finish() {
	if p.out == nil {
		return
	}
	p.out.tail.Or(over)
	p.marks.set(p.slot)
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
	name := ringName{epoch: m.entry.Epoch, number: number, key: m.entry.Key}
	draft := filepath.Join(m.box, draftDir, name.String())
	size := uint64(0)
	if p.out != nil {
		size = p.out.size()
	}
	r, err := makeRing(draft, roomFor(size, need, pending))
	if err != nil {
		return fmt.Errorf("make a ring: %w", err)
	}
	m.step("drafted")
	p.finish()
	m.step("finished")
	if err := os.Rename(draft, filepath.Join(p.box, ringsDir, name.String())); err != nil {
		r.unmap()
		if removeErr := os.Remove(draft); errors.Is(err, fs.ErrNotExist) && removeErr == nil {
			return fmt.Errorf("%w: it is leaving", protocol.ErrPeerGone)
		}
		return err
	}
	m.step("placed")
	p.out = &outlet{ring: r}
	// The reader takes the ring in, and begins to watch this process, before or
	// after the first message; in either case it looks for that afterwards.
	p.marks.Add(wordMade, 1)
	m.step("announced")
	p.visitor.Ring()
	m.step("rung")
	return nil
}
