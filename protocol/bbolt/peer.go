package bbolt

import (
	"errors"
	"io/fs"

	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// peer is a mailbox that this client delivers to. It is kept from one Deliver
// to the next, and is for one life of that mailbox: what was removed and made
// anew is another one.
type peer struct {
	file    *file
	visitor *gate.Visitor
	shared  bool // the file is the client's own, which it closes itself
	users   int  // guarded by the client's mu, as all below
	dropped bool
}

// visit finds the peer with that id. Each visit ends with leave.
func (m *mailbox) visit(id string) (*peer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[id]
	if p == nil {
		var err error
		if p, err = m.find(id); err != nil {
			return nil, err
		}
		m.peers[id] = p
	}
	p.users++
	return p, nil
}

func (m *mailbox) find(id string) (*peer, error) {
	seen, err := m.store.Look(id)
	if err != nil {
		return nil, err
	}
	v, err := gate.Visit(m.store.Box(seen.Key), m.lobby)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, protocol.ErrPeerGone // while its record was read
	}
	if err != nil {
		return nil, err
	}
	if id == m.id {
		return &peer{file: m.own, visitor: v, shared: true}, nil
	}
	f, err := m.store.file(m.life, seen.Key, m.entry.Key, m.notice)
	if err != nil {
		v.Close()
		if errors.Is(err, errReplaced) {
			err = protocol.ErrPeerGone
		}
		return nil, err
	}
	return &peer{file: f, visitor: v}, nil
}

// leave ends a visit.
func (m *mailbox) leave(p *peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.users--
	p.closeUnused()
}

// drop makes the next visit find the peer anew.
func (m *mailbox) drop(id string, p *peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.peers[id] == p {
		delete(m.peers, id)
	}
	p.dropped = true
	p.closeUnused()
}

func (p *peer) closeUnused() {
	if !p.dropped || p.users > 0 || p.visitor == nil {
		return
	}
	p.visitor.Close()
	p.visitor = nil
	if !p.shared {
		p.file.close()
	}
}
