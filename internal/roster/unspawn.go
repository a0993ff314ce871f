package roster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Unspawn removes the store: what Spawn and the clients made, and the route's
// directory if Spawn made it and nothing of a stranger's is in it. Only the
// owner may: ErrNotOwner. Clients that are connected find ErrNoStore.
func (r *Roster) Unspawn(ctx context.Context) error {
	err := r.locked(ctx, func() error {
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
	route := filepath.Clean(r.route)
	// Renamed first: it is gone as a whole, whatever happens next.
	ruin := filepath.Join(route, unfinishedName())
	if err := os.Rename(r.Path(), ruin); err != nil {
		return err
	}
	// Who watches the records is told by one that appears: that a directory is
	// removed is not told while somebody has it open.
	if f, makeErr := r.records.dir.Create(".unspawned"); makeErr == nil {
		f.Close()
	}
	for _, id := range ids {
		err = errors.Join(err, r.perl.Erase(id))
	}
	err = errors.Join(err, removeAll(ctx, ruin))
	if r.head.Made {
		err = errors.Join(err, removeEmpty(route))
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
	if id, err := r.killedEntering(); err != nil {
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

// removeAll removes a directory in which clients may still be at work. They
// make files in directories that they have open, until these are removed.
func removeAll(ctx context.Context, path string) error {
	for {
		err := os.RemoveAll(path)
		if !errors.Is(err, fs.ErrExist) { // which a directory that is not empty gives
			return err
		}
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}
