package roster

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Peers lists the clients of the store, ordered by id: ours and, where a
// foreign program shares the route, theirs. rev grows when the list is not what
// this handle gave last.
func (r *Roster) Peers(ctx context.Context) ([]protocol.Peer, uint64, error) {
	if ctx.Err() != nil {
		return nil, 0, context.Cause(ctx)
	}
	r.listing.Lock()
	defer r.listing.Unlock()
	peers, err := r.list()
	if err != nil {
		return nil, 0, r.fail(ctx, "list peers", "", err)
	}
	if r.rev == 0 || !slices.EqualFunc(peers, r.last, samePeer) {
		r.rev++
		r.last = peers
	}
	given := slices.Clone(peers)
	for i := range given {
		given[i].Attrs = maps.Clone(given[i].Attrs)
	}
	return given, r.rev, nil
}

// Changed blocks until Peers would tell more than it told with rev. It wakes
// for a change in the directories and for the end of a process, not to look.
func (r *Roster) Changed(ctx context.Context, rev uint64) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := r.follow(); err != nil {
		return r.fail(ctx, "watch peers", "", err)
	}
	for {
		r.mu.Lock()
		wake := r.wake // taken before the look: what happens later closes it
		r.mu.Unlock()
		differs, err := r.differs(rev)
		if err != nil {
			return r.fail(ctx, "watch peers", "", err)
		}
		if differs {
			return nil
		}
		select {
		case <-wake:
		case <-r.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *Roster) differs(rev uint64) (bool, error) {
	r.listing.Lock()
	defer r.listing.Unlock()
	peers, err := r.list()
	told := r.rev != 0 && rev == r.rev
	return err == nil && (!told || !slices.EqualFunc(peers, r.last, samePeer)), err
}

func samePeer(a, b protocol.Peer) bool {
	return a.ID == b.ID && a.PID == b.PID && a.Start == b.Start && a.State == b.State &&
		a.Since.Equal(b.Since) && a.Until.Equal(b.Until) && maps.Equal(a.Attrs, b.Attrs)
}

// list makes the list from the directories, which are the truth.
func (r *Roster) list() ([]protocol.Peer, error) {
	keys, err := r.records.list()
	if err != nil {
		return nil, err
	}
	named := make(map[holder]bool)
	peers := make([]protocol.Peer, 0, len(keys))
	for _, key := range keys {
		rec, _, err := r.records.read(key)
		switch {
		case errors.Is(err, fs.ErrNotExist): // it left meanwhile
			continue
		case errors.Is(err, errDamaged):
			// A hash does not tell whose it is.
			if protocol.CheckID(key) == nil && Key(key) == key {
				peers = append(peers, protocol.Peer{ID: key, State: protocol.Crashed})
			}
			continue
		case err != nil:
			return nil, err
		}
		p, err := r.judge(rec)
		if err != nil {
			return nil, err
		}
		if rec.state() == protocol.Active {
			named[rec.holder()] = true
		}
		if p.State != protocol.Gone {
			peers = append(peers, p)
		}
	}
	if r.perl != nil {
		if peers, err = r.addForeign(peers, named); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(peers, func(a, b protocol.Peer) int { return cmp.Compare(a.ID, b.ID) })
	r.records.forget(keys)
	r.lives.keep(named)
	return peers, r.standing() // else what was listed was being removed
}

// addForeign adds the foreign clients of the route to ours.
func (r *Roster) addForeign(peers []protocol.Peer, named map[holder]bool) ([]protocol.Peer, error) {
	at := make(map[string]int, len(peers))
	active := make(map[string]bool, len(peers)) // mailboxes that are ours without a look
	for i, p := range peers {
		at[p.ID] = i
		if p.State != protocol.Active {
			continue
		}
		if name, err := r.perl.Name(p.ID); err == nil {
			active[name] = true
		}
	}
	theirs, err := r.perl.Peers(func(name string) bool { return active[name] })
	if err != nil {
		return nil, err
	}
	for _, p := range theirs {
		ours := protocol.Peer{State: protocol.Gone}
		i, known := at[p.ID]
		if known {
			ours = peers[i]
		}
		peer, foreign, err := r.takenUp(p, &ours)
		if err != nil {
			return nil, err
		}
		if p.State == protocol.Active {
			named[foreignHolder(p)] = true
		}
		switch {
		case foreign && known:
			peers[i] = peer
		case foreign:
			peers = append(peers, peer)
		}
	}
	return peers, nil
}
