package ipcmgr

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Peer is a client of the store as others see it.
type Peer = protocol.Peer

// State is what is known of a peer.
type State = protocol.State

// The states of a peer. A crashed one neither suspended nor disconnected: its
// process is gone. Gone appears only in what Watch tells.
const (
	Active    = protocol.Active
	Suspended = protocol.Suspended
	Crashed   = protocol.Crashed
	Gone      = protocol.Gone
)

// Peers lists the clients of the store, ordered by id. Those that have left
// for good are not in it.
func (s *Store) Peers(ctx context.Context) ([]Peer, error) {
	peers, _, err := s.peers(ctx)
	return peers, s.wrap("peers", err)
}

// peers leaves out the guard, which is no client.
func (s *Store) peers(ctx context.Context) ([]Peer, uint64, error) {
	peers, rev, err := s.handle.Peers(ctx)
	peers = slices.DeleteFunc(peers, func(p Peer) bool { return p.ID == protocol.Guard })
	return peers, rev, err
}

// Peer gives one client of the store. ErrNoPeer.
func (s *Store) Peer(ctx context.Context, id string) (Peer, error) {
	peers, _, err := s.peers(ctx)
	if err != nil {
		return Peer{}, s.wrap("peer", err)
	}
	if n, ok := slices.BinarySearchFunc(peers, id, func(p Peer, id string) int { return strings.Compare(p.ID, id) }); ok {
		return peers[n], nil
	}
	return Peer{}, &Error{Op: "peer", Store: s.info.Redacted(), Peer: id, Err: ErrNoPeer}
}

// WaitPeer blocks until every one of the ids is active: the barrier that
// replaces sleeping. When ctx ends before, the error says what the others are.
func (s *Store) WaitPeer(ctx context.Context, ids ...string) error {
	return s.waitFor(ctx, "wait for peers", func(peers []Peer) []string {
		states := make(map[string]State, len(peers))
		for _, p := range peers {
			states[p.ID] = p.State
		}
		var missing []string
		for _, id := range ids {
			switch state, known := states[id]; {
			case !known:
				missing = append(missing, fmt.Sprintf("%q is missing", id))
			case state != Active:
				missing = append(missing, fmt.Sprintf("%q is %v", id, state))
			}
		}
		return missing
	})
}

// Wait blocks until no client of the store is active. When ctx ends before, the
// error names those that stay.
func (s *Store) Wait(ctx context.Context) error {
	return s.waitFor(ctx, "wait until all have left", func(peers []Peer) []string {
		var staying []string
		for _, p := range peers {
			if p.State == Active {
				staying = append(staying, fmt.Sprintf("%q (pid %d) is still there", p.ID, p.PID))
			}
		}
		return staying
	})
}

// WaitUntil calls done with the clients of the store, ordered by id, now and
// after each change, until it says true. A change may be missed that the next
// one undoes.
func (s *Store) WaitUntil(ctx context.Context, done func(peers []Peer) bool) error {
	return s.waitFor(ctx, "wait for peers", func(peers []Peer) []string {
		if done(peers) {
			return nil
		}
		return []string{"not yet"}
	})
}

// look is peers, also when the context has ended.
func (s *Store) look(ctx context.Context) ([]Peer, uint64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return s.peers(ctx)
}

// waitFor blocks until pick has nothing against it. It looks once at least, so
// that its error can say what, also when the context has ended.
func (s *Store) waitFor(ctx context.Context, what string, pick func([]Peer) []string) error {
	var against []string
	for look := s.look; ; look = s.peers {
		peers, rev, err := look(ctx)
		if err == nil {
			if against = pick(peers); len(against) == 0 {
				return nil
			}
			err = s.handle.Changed(ctx, rev)
		}
		if err != nil {
			if ctx.Err() != nil && len(against) > 0 {
				err = fmt.Errorf("%w: %s", err, strings.Join(against, ", "))
			}
			return s.wrap(what, err)
		}
	}
}

// Watch yields each client of the store as it is now, and then again whenever
// it changes: its state, its attributes, the process that holds it, or that
// its suspension became overdue. One that left for good is yielded with the
// state Gone. It ends with the error of what ended it: the context, or
// ErrNoStore when the store is gone.
func (s *Store) Watch(ctx context.Context) iter.Seq2[Peer, error] {
	return func(yield func(Peer, error) bool) {
		known := map[string]Peer{}
		late := map[string]bool{} // told to be overdue
		for {
			peers, rev, err := s.peers(ctx)
			if err != nil {
				yield(Peer{}, s.wrap("watch", err))
				return
			}
			now := time.Now()
			var next time.Time // the first deadline of a suspension still to come
			present := map[string]bool{}
			for _, p := range peers {
				present[p.ID] = true
				overdue := p.Overdue(now)
				if p.State == Suspended && !p.Until.IsZero() && !overdue && (next.IsZero() || p.Until.Before(next)) {
					next = p.Until
				}
				old, ok := known[p.ID]
				if ok && same(old, p) && late[p.ID] == overdue {
					continue
				}
				known[p.ID], late[p.ID] = p, overdue
				if !yield(p, nil) {
					return
				}
			}
			for _, id := range slices.Sorted(maps.Keys(known)) {
				if present[id] {
					continue
				}
				p := known[id]
				delete(known, id)
				delete(late, id)
				p.State, p.Since, p.Until, p.Attrs = Gone, now, time.Time{}, nil
				if !yield(p, nil) {
					return
				}
			}
			if err := s.changedBy(ctx, rev, next); err != nil {
				yield(Peer{}, s.wrap("watch", err))
				return
			}
		}
	}
}

var errDeadline = errors.New("deadline of a suspension")

// changedBy blocks until the peers change, or until just after t if that is
// not zero.
func (s *Store) changedBy(ctx context.Context, rev uint64, t time.Time) error {
	if t.IsZero() {
		return s.handle.Changed(ctx, rev)
	}
	timed, cancel := context.WithDeadlineCause(ctx, t.Add(time.Millisecond), errDeadline)
	defer cancel()
	err := s.handle.Changed(timed, rev)
	if errors.Is(err, errDeadline) && ctx.Err() == nil {
		return nil
	}
	return err
}

func same(a, b Peer) bool {
	return a.PID == b.PID && a.Start == b.Start && a.State == b.State &&
		a.Since.Equal(b.Since) && a.Until.Equal(b.Until) && maps.Equal(a.Attrs, b.Attrs)
}
