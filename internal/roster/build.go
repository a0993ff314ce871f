package roster

import (
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

// built is a store that was just made.
type built struct {
	own *ownership // nil: it has no owner
}

// discard gives up the ownership of a store that cannot be used; it is dead
// then, and collected or cleared as such.
func (b *built) discard(dot string) {
	if b.own != nil {
		b.own.presence.leave(dot)
	}
}

// build makes the dot directory of a store under another name, with this
// process present in it if it is owned, and renames it into place.
func (k *Kind) build(dir disk.Dir, h head, owned bool) (b *built, err error) {
	b = &built{}
	name := unfinishedName()
	path := filepath.Join(dir.Path(), name)
	if err := dir.Mkdir(name); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.discard(path)
			err = errors.Join(err, os.RemoveAll(path))
		}
	}()
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
		p, err := appear(path)
		if err != nil {
			return nil, err
		}
		b.own = newOwnership(p)
		if err := b.own.write(dot, tmp, h.Settings.Sync); err != nil {
			return nil, err
		}
	}
	data, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if err := disk.WriteFile(dot, tmp, "store", data, h.Settings.Sync); err != nil {
		return nil, err
	}
	if err := dir.Rename(name, dir, Dot); err != nil {
		if _, statErr := dir.Stat(Dot); statErr == nil {
			err = fmt.Errorf("%w: %s", protocol.ErrStoreExists, dir.Path())
		}
		return nil, err
	}
	if h.Settings.Sync {
		if err := dir.Sync(); err != nil {
			path = filepath.Join(dir.Path(), Dot)
			return nil, err
		}
	}
	return b, nil
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

func old(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir() && time.Since(info.ModTime()) > abandoned
}
