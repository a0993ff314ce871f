package roster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Unspawn removes the store: what Spawn and the clients made, and the route's
// directory if Spawn made it and nothing of a stranger's is in it. Only the
// owner may: ErrNotOwner. Clients that are connected find ErrNoStore.
func (r *Roster) Unspawn(ctx context.Context) error {
	if r.ruined() != nil {
		return r.fail(ctx, "unspawn", "", r.clearAway(ctx))
	}
	err := r.Locked(ctx, func() error {
		o, err := r.owner()
		if err != nil {
			return err
		}
		if !r.owns(o) {
			return fmt.Errorf("%w: own %s first", protocol.ErrNotOwner, r.route)
		}
		return r.raze(ctx)
	})
	if err == nil {
		err = r.setOwnership(nil)
		r.ring()
	}
	return r.fail(ctx, "unspawn", "", err)
}

// raze removes the store. The caller holds its lock.
func (r *Roster) raze(ctx context.Context) error {
	ids, err := r.ids()
	if err != nil {
		return err
	}
	dir, err := r.FS().OpenDir(filepath.Clean(r.route))
	if err != nil {
		return err
	}
	defer dir.Close()
	// What Perl reads goes first: without our directory beside it, it would be
	// a store of Perl's to the next who spawns here.
	if err := r.eraseForeign(ids); err != nil {
		return err
	}
	if r.head.Settings.Sync {
		if err := dir.Sync(); err != nil {
			return err
		}
	}
	// Renamed then: it is gone as a whole, whatever happens next.
	name := unfinishedName()
	if err := dir.Rename(Dot, dir, name); err != nil {
		return err
	}
	// Who watches the records is told by one that appears: that a directory is
	// removed is not told while somebody has it open.
	if f, makeErr := r.records.dir.Create(".unspawned"); makeErr == nil {
		f.Close()
	}
	r.mu.Lock()
	r.ruin = &ruin{name, ids}
	r.mu.Unlock()
	if r.head.Settings.Sync {
		if err := dir.Sync(); err != nil { // or a store might be back, without what was in it
			return err
		}
	}
	return r.clearAway(ctx)
}

// ruin is what is left of a store while it is removed.
type ruin struct {
	name string // what Dot was renamed to
	ids  []string
}

func (r *Roster) ruined() *ruin {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ruin
}

// clearAway removes a store that is renamed. If it could not remove all of it,
// another Unspawn goes on.
func (r *Roster) clearAway(ctx context.Context) error {
	left := r.ruined()
	route := filepath.Clean(r.route)
	dir, err := r.FS().OpenDir(route)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	_, err = dir.Stat(Dot)
	switch {
	case err == nil: // a new store: what is in the route for Perl is its own
	case errors.Is(err, fs.ErrNotExist):
		err = r.eraseForeign(left.ids) // clients make their doors again
	}
	// Who waits for room in one of its mailboxes would never hear of it.
	gate.Raze(filepath.Join(route, left.name, "box"))
	err = errors.Join(err, disk.RemoveAll(ctx, dir, left.name))
	if r.head.Made {
		err = errors.Join(err, removeEmpty(route))
	}
	if err == nil {
		r.mu.Lock()
		r.ruin = nil
		r.mu.Unlock()
	}
	return err
}

func (r *Roster) eraseForeign(ids []string) (err error) {
	for _, id := range ids {
		err = errors.Join(err, r.perl.Erase(id))
	}
	return err
}

// ids gives those of which something may stand in the route for foreign
// programs.
func (r *Roster) ids() ([]string, error) {
	if r.perl == nil {
		return nil, nil
	}
	keys, err := r.records.list()
	if err != nil {
		return nil, err
	}
	var ids []string
	if id, _, err := r.lastEntering(); err != nil {
		return nil, err
	} else if id != "" {
		ids = append(ids, id)
	}
	for _, key := range keys {
		rec, _, err := r.records.read(key)
		if errors.Is(err, errDamaged) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if rec.ID == protocol.Guard || protocol.CheckID(rec.ID) == nil {
			ids = append(ids, rec.ID)
		}
	}
	return ids, nil
}
