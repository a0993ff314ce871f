package ipcmgr

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// Store is a handle on one message store. Its methods may be called
// concurrently.
type Store struct {
	info   Info
	proto  protocol.Protocol
	handle protocol.Store
	ser    serializer.Serializer
	signal os.Signal // for Shutdown, or nil
	max    int       // bytes of an encoded content

	mu     sync.Mutex
	users  int // clients connected through this handle, and 1 until Close
	closed bool

	guard guard
}

func newStore(p protocol.Protocol, ser serializer.Serializer, handle protocol.Store, cfg Config) *Store {
	s := &Store{
		info:   Info{Protocol: p.Name(), Serializer: ser.Name(), Route: handle.Route()},
		proto:  p,
		handle: handle,
		ser:    ser,
		max:    handle.Settings().MaxFrame - envelopeRoom,
		users:  1,
	}
	if cfg.Signal != "" {
		s.signal, _ = signalNamed(cfg.Signal) // the Config was validated
	}
	return s
}

// Info gives the string by which another process opens the store. It may hold
// a password: Info().Redacted is for people.
func (s *Store) Info() Info { return s.info }

// Features says what the store's protocol promises.
func (s *Store) Features() protocol.Features { return s.proto.Features() }

// Sync says whether a Send returns only when the message would survive a power
// cut.
func (s *Store) Sync() bool { return s.handle.Settings().Sync }

// Settings gives what the store has recorded: its limits, and whether it is
// temporary.
func (s *Store) Settings() protocol.Settings { return s.handle.Settings() }

// MaxMessage is the largest content of a message, encoded, in bytes.
func (s *Store) MaxMessage() int { return s.max }

// Owned says whether this handle owns the store.
func (s *Store) Owned() bool { return s.handle.Owned() }

func (s *Store) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Store: s.info.Redacted(), Err: err}
}

// Detach gives ownership up: the store stays when this process ends, for an
// Adopt. ErrNotOwner. A temporary store has nobody to find it again, so it
// refuses.
func (s *Store) Detach(ctx context.Context) error {
	if !s.Owned() {
		return s.wrap("detach", ErrNotOwner)
	}
	if s.handle.Settings().Temporary {
		return s.wrap("detach", errors.New("it is temporary: give a store that is to stay a route"))
	}
	return s.wrap("detach", s.handle.Disown(ctx))
}

// Unspawn removes the store with all that is in it, whoever is connected.
// ErrNotOwner unless this handle owns it. Shutdown is the gentle way.
func (s *Store) Unspawn(ctx context.Context) error {
	if !s.Owned() {
		return s.wrap("unspawn", ErrNotOwner)
	}
	return s.wrap("unspawn", errors.Join(s.guard.dismiss(ctx), s.handle.Unspawn(ctx)))
}

// Seize takes the ownership of the store from whoever has it, dead or alive.
func (s *Store) Seize(ctx context.Context) error {
	return s.wrap("seize", s.handle.Own(ctx, true))
}

// Close shuts the store down if this handle owns it, and waits ten seconds for
// its clients then; otherwise it drops the handle. Clients that were connected
// through it stay connected until they leave.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil
	}
	if s.Owned() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return s.Shutdown(ctx)
	}
	return s.drop()
}

// drop gives the handle up; the last client that leaves closes it.
func (s *Store) drop() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	return s.release()
}

// retain counts a client in.
func (s *Store) retain() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.wrap("connect", fmt.Errorf("this handle on the store: %w", ErrClosed))
	}
	s.users++
	return nil
}

// release counts a client, or the handle itself, out.
func (s *Store) release() error {
	s.mu.Lock()
	s.users--
	last := s.users == 0
	s.mu.Unlock()
	if !last {
		return nil
	}
	return errors.Join(s.guard.dismiss(context.Background()), s.handle.Close())
}

// Clients lists the clients of this store in this process, whichever handle
// they connected through, ordered by id.
func (s *Store) Clients() []Client {
	var list []Client
	for _, c := range local.of(s.info) {
		list = append(list, c)
	}
	return list
}

// local knows the clients of this process, by store.
var local = roster{byStore: map[Info]map[*client]struct{}{}, entering: map[chan struct{}]Info{}}

type roster struct {
	mu       sync.Mutex
	byStore  map[Info]map[*client]struct{}
	entering map[chan struct{}]Info // Connects under way; closed when they are over
}

// enters says that a Connect is under way, until done is called. The store may
// count its client as active before add is called for it.
func (r *roster) enters(i Info) (done func()) {
	over := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entering[over] = i
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.entering, over)
		close(over)
	}
}

// settled waits for the Connects that are under way.
func (r *roster) settled(ctx context.Context, i Info) error {
	r.mu.Lock()
	entering := maps.Clone(r.entering)
	r.mu.Unlock()
	for over, to := range entering {
		if to != i {
			continue
		}
		select {
		case <-over:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (r *roster) add(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byStore[c.store.info] == nil {
		r.byStore[c.store.info] = map[*client]struct{}{}
	}
	r.byStore[c.store.info][c] = struct{}{}
}

func (r *roster) remove(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byStore[c.store.info], c)
	if len(r.byStore[c.store.info]) == 0 {
		delete(r.byStore, c.store.info)
	}
}

func (r *roster) of(i Info) []*client {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []*client
	for c := range r.byStore[i] {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *client) int { return strings.Compare(a.id, b.id) })
	return list
}

// String names the store for a log.
func (s *Store) String() string { return fmt.Sprintf("store %s", s.info.Redacted()) }
