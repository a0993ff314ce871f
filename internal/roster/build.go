package roster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// unfinished is the form of Dot while it is being built or removed.
var unfinished = regexp.MustCompile(`^` + regexp.QuoteMeta(Dot) + `-[a-z0-9]{8}$`)

func unfinishedName() string { return Dot + "-" + strings.ToLower(rand.Text()[:8]) }

// build makes the dot directory of a store under another name and renames it
// into place. If it is owned, this process is present in it before anybody can
// see it.
func (k *Kind) build(ctx context.Context, dir disk.Dir, h head, owned bool) (*ownership, error) {
	name := unfinishedName()
	if err := dir.Mkdir(name); err != nil {
		return nil, err
	}
	own, err := k.furnish(dir, name, h, owned)
	if err == nil {
		err = dir.Rename(name, dir, Dot)
		if _, statErr := dir.Stat(Dot); err != nil && statErr == nil {
			err = fmt.Errorf("%w: %s", protocol.ErrStoreExists, dir.Path())
		}
	}
	if err != nil {
		own.discard(filepath.Join(dir.Path(), name))
		return nil, errors.Join(err, disk.RemoveAll(ctx, dir, name))
	}
	if h.Settings.Sync {
		if err := dir.Sync(); err != nil {
			return nil, errors.Join(err, demolish(ctx, dir, own))
		}
	}
	return own, nil
}

// demolish removes a store that came to nothing after it was in place.
func demolish(ctx context.Context, dir disk.Dir, own *ownership) error {
	own.discard(filepath.Join(dir.Path(), Dot))
	ruin := unfinishedName()
	return errors.Join(dir.Rename(Dot, dir, ruin), disk.RemoveAll(ctx, dir, ruin))
}

// furnish puts into a store what belongs there. The ownership is of use, or to
// be discarded, after an error as well.
func (k *Kind) furnish(dir disk.Dir, name string, h head, owned bool) (own *ownership, err error) {
	dot, err := dir.Sub(name)
	if err != nil {
		return nil, err
	}
	defer dot.Close()
	for _, sub := range append([]string{"procs", "peers", "box", "tmp", "corrupt"}, k.Dirs...) {
		if err := dot.Mkdir(sub); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	tmp, err := dot.Sub("tmp")
	if err != nil {
		return nil, err
	}
	defer tmp.Close()
	if owned {
		p, err := appear(filepath.Join(dir.Path(), name))
		if err != nil {
			return nil, err
		}
		own = newOwnership(p)
		if err := own.write(dot, tmp, h.Settings.Sync); err != nil {
			return own, err
		}
	}
	data, err := json.Marshal(h)
	if err == nil {
		err = disk.WriteFile(dot, tmp, "store", data, h.Settings.Sync)
	}
	return own, err
}

// abandoned is how old an unfinished store must be to be taken for that of a
// process that ended: it is not locked from its first instant.
const abandoned = time.Minute

// clear removes what processes that were killed left unfinished in a route, as
// far as it can, and gives what remains there.
func (k *Kind) clear(route string) (left int) {
	entries, err := os.ReadDir(route)
	if err != nil {
		return 1
	}
	for _, e := range entries {
		path := filepath.Join(route, e.Name())
		if !unfinished.MatchString(e.Name()) || !old(path) {
			left++
			continue
		}
		if busy, err := inhabited(path); busy || err != nil || os.RemoveAll(path) != nil {
			left++
		}
	}
	return left
}

// clearRubble removes what a power cut left of a store that was being removed,
// and says whether it did. A store that stands, or is being made, has its file
// "store" from the first instant.
func clearRubble(ctx context.Context, route disk.Dir) bool {
	dot, err := route.Sub(Dot)
	if err != nil {
		return false
	}
	defer dot.Close()
	if _, err := dot.Stat("store"); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if busy, err := inhabited(dot.Path()); busy || err != nil {
		return false
	}
	// By the directory itself and not by its name, which may be that of a new
	// store by now: if so, it is not empty.
	names, err := dot.Names()
	for _, name := range names {
		err = errors.Join(err, disk.RemoveAll(ctx, dot, name))
	}
	return err == nil && route.Rmdir(Dot) == nil
}

func old(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir() && time.Since(info.ModTime()) > abandoned
}
