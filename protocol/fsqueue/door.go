package fsqueue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/perl"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

const (
	readyEnd  = ".ready"
	pendEnd   = ".pend"
	resumeEnd = ".resume"
)

// foreignSender stands for all that came through a door, in the order in which
// it was taken in. No hash gives it but by an accident that costs nothing.
const foreignSender = "0000000000000000"

// door is the directory in which Perl delivers. What comes there is taken in at
// once, that is, moved to the shelf under a name of ours: from then on it is
// safe from Perl, which removes the mailbox of whom it takes for dead.
type door struct {
	roster *roster.Roster
	fsys   disk.FS
	name   string // D
	knock  atomic.Bool

	mu     sync.Mutex // one takes in at a time
	number uint64     // of the last that was taken in
	failed bool       // told already
	shut   bool
}

func newDoor(r *roster.Roster, id string) (*door, error) {
	name, err := r.Perl().Name(id)
	if err != nil {
		return nil, err
	}
	return &door{roster: r, fsys: r.FS(), name: name}, nil
}

func (d *door) route() string { return filepath.Clean(d.roster.Perl().Dir) }

// path is where the door stands.
func (d *door) path() string { return filepath.Join(d.route(), d.name) }

// in opens the route for do.
func (d *door) in(do func(route disk.Dir) error) error {
	route, err := d.fsys.OpenDir(d.route())
	if err != nil {
		return err
	}
	defer route.Close()
	return do(route)
}

// make makes the door unless it stands.
func (d *door) make() error {
	return d.in(func(route disk.Dir) error {
		dir, err := ensure(route, d.name)
		if err != nil {
			return fmt.Errorf("%s is not to be had as the mailbox for Perl: %w", d.path(), err)
		}
		return dir.Close()
	})
}

// takeUp takes in what an earlier holder, of ours or Perl's, left: what it had
// begun to drain, what it put back, and what came since. last is the highest
// number on the shelf.
func (d *door) takeUp(s *shelf, last uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.number = last
	return d.in(func(route disk.Dir) error {
		if err := d.drain(s, route); err != nil {
			return err
		}
		if err := d.resume(s, route); err != nil {
			return err
		}
		return d.takeIn(s, route)
	})
}

// answer takes in what has come since the last knock. An error is that of a
// store that is gone, or of ctx; what else is wrong with the door keeps nobody
// of ours from reading.
func (d *door) answer(ctx context.Context, s *shelf) error {
	if !d.knock.Swap(false) {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		return nil
	}
	err := d.in(func(route disk.Dir) error { return d.takeIn(s, route) })
	if errors.Is(err, fs.ErrNotExist) {
		// Either the store is gone, or somebody took the door away: then there
		// shall be one again.
		err = d.roster.Locked(ctx, d.make)
		if errors.Is(err, protocol.ErrNoStore) {
			return err
		}
	}
	if err != nil {
		d.knock.Store(true) // until it works
		if ctx.Err() != nil {
			return err
		}
		if !d.failed {
			s.notice(fmt.Errorf("what Perl delivers is not seen: %w", err))
		}
	}
	d.failed = err != nil
	return nil
}

// close takes the door away, and takes in what had come before. Perl begins
// its own goodbye with the same rename.
func (d *door) close(s *shelf) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		return nil
	}
	err := d.in(func(route disk.Dir) error {
		if err := route.Rename(d.name, route, "_"+d.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return d.drain(s, route)
	})
	d.shut = err == nil
	return err
}

// drain takes in what lies in _D and removes it. A file that Perl had not given
// its final name was not sent: its sender got an error from its rename.
func (d *door) drain(s *shelf, route disk.Dir) error {
	name := "_" + d.name
	dir, err := route.Sub(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := d.takeInOf(s, dir); err != nil {
		return err
	}
	names, err := dir.Names()
	if err != nil {
		return err
	}
	for _, m := range names {
		if strings.HasSuffix(m, pendEnd) {
			if err := dir.Remove(m); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if err := route.Rmdir(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.notice(fmt.Errorf("%s stays, for it is not empty: %w", filepath.Join(d.route(), name), err))
	}
	return nil
}

// resume takes in what Perl put back, as one file.
func (d *door) resume(s *shelf, route disk.Dir) error {
	name := d.name + resumeEnd
	info, err := route.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if why := unusable(info); why != nil {
		s.takeAside(route, name, why)
		return nil
	}
	data, err := disk.ReadFile(route, name, s.maxFile)
	if errors.Is(err, disk.ErrTooLarge) {
		s.takeAside(route, name, err)
		return nil
	}
	if err != nil {
		return err
	}
	frames, _, why := split(nil, data, s.maxFrame)
	if len(frames) == 0 {
		if why != nil {
			s.takeAside(route, name, why)
			return nil
		}
		return route.Remove(name)
	}
	// What follows the good frames stays in the file, and is set aside when
	// that is read: its size counts as theirs.
	bytes := len(data) - 4*len(frames)
	return d.move(s, route, name, len(frames), bytes, false)
}

// takeIn moves what Perl delivered to the shelf.
func (d *door) takeIn(s *shelf, route disk.Dir) error {
	dir, err := route.Sub(d.name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return d.takeInOf(s, dir)
}

// takeInOf moves the messages in a directory of Perl's form to the shelf.
func (d *door) takeInOf(s *shelf, dir disk.Dir) error {
	arrivals, err := arrived(s, dir)
	if err != nil {
		return err
	}
	for _, a := range arrivals {
		err := d.move(s, dir, a.name, 1, a.size, true)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// move gives a file its place on the shelf.
func (d *door) move(s *shelf, from disk.Dir, name string, count, bytes int, single bool) error {
	to := labelName(foreignSender, place{0, d.number + 1}, count, bytes, single)
	if err := from.Rename(name, s.fresh, to); err != nil {
		return err
	}
	d.number++
	s.gate.Added(count, bytes)
	s.gate.Ring()
	return nil
}

// foreignRoute is the Perl side of a store's route.
func foreignRoute(route string) *perl.Route { return &perl.Route{Dir: route, Max: 200} }
