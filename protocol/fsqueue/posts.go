package fsqueue

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// maxWays is how many peers a client keeps open at most, beyond those that
// it is sending to.
const maxWays = 128

// posts are the peers that a client has sent to.
type posts struct {
	m      *mailbox
	sender string // in the names of the client's files

	mu   sync.Mutex
	byID map[string]*post
	open map[*way]struct{}
	uses uint64
}

// post is one of them. Its number outlives the ways to it.
type post struct {
	mu     sync.Mutex // held while a file gets its number and its place
	number uint64     // of the last file accepted

	way *way // guarded by posts.mu; nil unless open
}

// way is how files get to a peer: opened when first needed, kept until the
// peer has left, or others are more in demand.
type way struct {
	post  *post
	fresh disk.Dir
	gate  *gate.Visitor
	flush flusher

	users int // guarded by posts.mu, as all below
	used  uint64
	stale bool // closed by its last user
}

func (p *posts) init(m *mailbox) {
	p.m = m
	p.sender = senderOf(m.id)
	p.byID = map[string]*post{}
	p.open = map[*way]struct{}{}
}

// errForeign says that there is no way to a peer but its door.
var errForeign = errors.New("the peer is a foreign program's")

// take gives the way to a peer, until give. With errForeign there is none; seen
// then says what is known of the peer.
func (p *posts) take(id string) (w *way, seen roster.Seen, err error) {
	if w = p.again(id, (*gate.Visitor).Open); w != nil {
		return w, seen, nil
	}
	// The peer is new to us, or has left in some way: what stands under its id
	// now may be another mailbox, or none, or a foreign program's.
	if seen, err = p.m.store.Look(id); err != nil {
		return nil, seen, err
	}
	if seen.Foreign {
		return nil, seen, errForeign
	}
	suspended := func(v *gate.Visitor) bool { return !v.Sealed() }
	if w = p.again(id, suspended); w == nil {
		w, err = p.find(id, seen.Key)
	}
	return w, seen, err
}

// again gives the way that is open already, if its gate is still good.
func (p *posts) again(id string, good func(*gate.Visitor) bool) *way {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.byID[id]
	if t == nil || t.way == nil || !good(t.way.gate) {
		return nil
	}
	p.use(t.way)
	return t.way
}

// find opens a way, in place of the one there is.
func (p *posts) find(id, key string) (*way, error) {
	box := p.m.store.Box(key)
	fresh, err := p.m.store.FS().OpenDir(filepath.Join(box, newDir))
	if err != nil {
		return nil, leaving(err)
	}
	v, err := gate.Visit(box, p.m.lobby)
	if err != nil {
		fresh.Close()
		return nil, leaving(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.byID[id]
	if t == nil {
		t = &post{}
		p.byID[id] = t
	}
	if t.way != nil {
		p.retire(t.way)
	}
	p.thin()
	t.way = &way{post: t, fresh: fresh, gate: v}
	p.open[t.way] = struct{}{}
	p.use(t.way)
	return t.way, nil
}

// leaving says why a mailbox that is on record is not there.
func leaving(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: it is leaving", protocol.ErrPeerGone)
	}
	return err
}

func (p *posts) use(w *way) {
	p.uses++
	w.users++
	w.used = p.uses
}

// give ends one use of a way.
func (p *posts) give(w *way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.users--; w.users == 0 && w.stale {
		w.close()
	}
}

// drop makes the next take look for the peer again.
func (p *posts) drop(w *way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retire(w)
}

func (p *posts) retire(w *way) {
	if w.stale {
		return
	}
	w.stale = true
	delete(p.open, w)
	if w.post.way == w {
		w.post.way = nil
	}
	if w.users == 0 {
		w.close()
	}
}

// thin closes the way that was not used for longest, if there are too many.
func (p *posts) thin() {
	if len(p.open) < maxWays {
		return
	}
	var oldest *way
	for w := range p.open {
		if w.users == 0 && (oldest == nil || w.used < oldest.used) {
			oldest = w
		}
	}
	if oldest != nil {
		p.retire(oldest)
	}
}

// close closes all. Nobody uses one any more.
func (p *posts) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.open {
		p.retire(w)
	}
}

func (w *way) close() {
	w.gate.Close()
	w.fresh.Close()
}
