package roster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// version is that of the layout; another one is not touched.
const version = 1

// maxSmall bounds the files "store" and "owner" in bytes.
const maxSmall = 64 << 10

// head is what the file "store" says.
type head struct {
	Version  int               `json:"version"`
	Protocol string            `json:"protocol"`
	Settings protocol.Settings `json:"settings"`
	Made     bool              `json:"made"` // Spawn made the route's directory
}

// open gives a handle on the store at route.
func (k *Kind) open(route string) (*Roster, error) {
	dir, err := k.openRoute(route)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s does not exist", protocol.ErrNoStore, route)
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	// The first look at Dot: what is opened next must be the same.
	info, err := os.Lstat(filepath.Join(filepath.Clean(route), Dot))
	if err == nil {
		err = private(dir, Dot)
	}
	if err != nil {
		return nil, missing(route, err)
	}
	dot, err := dir.Sub(Dot)
	if err != nil {
		return nil, missing(route, err)
	}
	r, err := k.handle(route, info, dot)
	if err != nil {
		dot.Close()
		return nil, missing(route, err)
	}
	return r, nil
}

func missing(route string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w in %s", protocol.ErrNoStore, route)
	}
	return err
}

func (k *Kind) handle(route string, info os.FileInfo, dot disk.Dir) (*Roster, error) {
	h, err := k.readHead(dot)
	if err != nil {
		return nil, err
	}
	peers, err := dot.Sub("peers")
	if err != nil {
		return nil, err
	}
	tmp, err := remade(dot, "tmp")
	if err != nil {
		peers.Close()
		return nil, err
	}
	corrupt, err := remade(dot, "corrupt")
	if err != nil {
		peers.Close()
		tmp.Close()
		return nil, err
	}
	r := &Roster{
		kind:  k,
		route: route,
		head:  h,
		info:  info,
		dot:   dot,
		records: records{
			dir: peers, tmp: tmp, corrupt: corrupt,
			sync: h.Settings.Sync,
			kept: map[string]kept{},
		},
		entries: map[*Entry]func(){},
		wake:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	r.lives = lives{procs: r.Path("procs"), ended: r.ring, known: map[holder]*life{}}
	if k.Perl != nil {
		r.perl = k.foreign(route, h.Settings.Sync)
	}
	if err := r.standing(); err != nil {
		r.closeDirs()
		return nil, err
	}
	return r, nil
}

// remade opens a directory in which nothing is that a store needs, so people
// remove it, and makes it again if they did.
func remade(dot disk.Dir, name string) (disk.Dir, error) {
	d, err := dot.Sub(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	if err := dot.Mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return dot.Sub(name)
}

func (k *Kind) readHead(dot disk.Dir) (head, error) {
	var h head
	file := filepath.Join(dot.Path(), "store")
	data, err := disk.ReadFile(dot, "store", maxSmall)
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return h, fmt.Errorf("%s is damaged: %w", file, err)
	}
	switch {
	case h.Version != version:
		return h, fmt.Errorf("%w: %s says %d, this program knows %d", protocol.ErrVersion, file, h.Version, version)
	case h.Protocol != k.Protocol:
		return h, fmt.Errorf("%w of %s here: %s says it is of %q", protocol.ErrNoStore, k.Protocol, file, h.Protocol)
	case h.Settings.MaxFrame < 0 || h.Settings.MaxPending < 0 || h.Settings.MaxBytes < 0:
		return h, fmt.Errorf("%s is damaged: a limit is negative", file)
	}
	return h, nil
}
