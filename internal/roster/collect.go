package roster

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/filelock"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Collect removes the temporary stores of this protocol whose owner and clients
// are all dead, and returns their routes. On the way it clears away what
// processes that were killed left of stores they were making or removing.
func (k *Kind) Collect(ctx context.Context) ([]string, error) {
	var routes []string
	var errs error
	for _, b := range k.bases() {
		gone, err := k.collectUnder(ctx, b)
		routes = append(routes, gone...)
		if ctx.Err() != nil {
			return routes, context.Cause(ctx)
		}
		errs = errors.Join(errs, err)
	}
	return routes, k.fail(ctx, "collect", "", errs)
}

func (k *Kind) collectUnder(ctx context.Context, b base) (routes []string, errs error) {
	dir, err := k.openParent(b.path())
	if err != nil {
		return nil, nil // nothing was ever made there
	}
	defer dir.Close()
	if private(dir, b.name) != nil {
		return nil, nil // nor by us
	}
	entries, err := os.ReadDir(b.path())
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			break
		}
		if !e.IsDir() || !temporaryName.MatchString(e.Name()) {
			continue
		}
		route := filepath.Join(b.path(), e.Name())
		dead, err := k.collect(ctx, route)
		errs = errors.Join(errs, err)
		if dead {
			routes = append(routes, route)
		}
	}
	return routes, errs
}

// collect removes one temporary store if it is dead.
func (k *Kind) collect(ctx context.Context, route string) (dead bool, err error) {
	r, err := k.open(route)
	if errors.Is(err, protocol.ErrNoStore) {
		if old(route) && k.clear(route) == 0 {
			_ = removeEmpty(route) // the next collection tries again
		}
		return false, nil
	}
	if err != nil {
		return false, nil // another version's, or damaged: not ours to judge
	}
	defer r.Close()
	if !r.head.Settings.Temporary {
		return false, nil
	}
	dead, err = r.collect(ctx)
	if errors.Is(err, fs.ErrNotExist) && r.standing() != nil {
		err = nil // another collection was faster, or its own end
	}
	return dead, err
}

func (r *Roster) collect(ctx context.Context) (dead bool, err error) {
	if dead, err := r.dead(); !dead {
		return false, err
	}
	lock, ok, err := filelock.TryLock(r.Path("lock"))
	if err != nil || !ok {
		return false, nil // somebody is at work there
	}
	defer lock.Unlock()
	// Once more, now that nobody can come.
	if dead, err := r.dead(); !dead || r.standing() != nil {
		return false, err
	}
	err = r.raze(ctx)
	return err == nil, err
}

// dead says whether no process lives that owns the store or is a client of it.
func (r *Roster) dead() (bool, error) {
	busy, err := inhabited(r.Path())
	if busy || err != nil || r.perl == nil {
		return !busy && err == nil, err
	}
	theirs, err := r.perl.Peers(func(string) bool { return false })
	for _, p := range theirs {
		if p.State == protocol.Active && err == nil {
			busy, _, err = r.lives.alive(foreignHolder(p))
			if busy {
				return false, err
			}
		}
	}
	return err == nil, err
}
