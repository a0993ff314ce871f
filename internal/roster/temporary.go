package roster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// temporaryName is the form of a temporary store's directory.
var temporaryName = regexp.MustCompile(`^[a-z0-9]{8}$`)

// base is a directory in which temporary stores stand.
type base struct {
	parent, name string
}

func (b base) path() string { return filepath.Join(b.parent, b.name) }

// bases gives the places for temporary stores, the best first. A process that
// lost XDG_RUNTIME_DIR still finds what others made with it only by its info.
func (k *Kind) bases() []base {
	var all []base
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		all = append(all, base{filepath.Clean(dir), "ipcmgr"})
	}
	ours := "ipcmgr-" + strconv.Itoa(os.Geteuid())
	all = append(all, base{filepath.Clean(os.TempDir()), ours})
	if k.Memory != "" {
		all = append(all, base{k.Memory, ours})
	}
	return all
}

// Place says why there is no place for a temporary store, or nil.
func (k *Kind) Place() error {
	var reasons error
	for _, b := range k.bases() {
		err := k.check(b.path())
		if err == nil {
			return nil
		}
		reasons = errors.Join(reasons, err)
	}
	return reasons
}

// prepare makes the base, unless it stands, and says why it cannot be used.
func (k *Kind) prepare(b base) error {
	dir, err := k.openParent(b.path())
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Mkdir(b.name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return private(dir, b.name)
}

// spawnTemporary makes a store in the first place that will do.
func (k *Kind) spawnTemporary(ctx context.Context, s protocol.Settings) (*Roster, error) {
	var reasons error
	for _, b := range k.bases() {
		r, err := k.spawnUnder(ctx, b, s)
		if err == nil {
			return r, nil
		}
		reasons = errors.Join(reasons, err)
	}
	return nil, fmt.Errorf("no place for a temporary store, set XDG_RUNTIME_DIR or TMPDIR to one: %w", reasons)
}

func (k *Kind) spawnUnder(ctx context.Context, b base, s protocol.Settings) (*Roster, error) {
	for {
		route := filepath.Join(b.path(), strings.ToLower(rand.Text()[:8]))
		if err := k.check(route); err != nil {
			return nil, err
		}
		if err := k.prepare(b); err != nil {
			return nil, err
		}
		made, err := k.makeRoute(route, s.Sync)
		if err != nil {
			return nil, err
		}
		if !made {
			continue // the name is taken
		}
		r, err := k.spawnIn(ctx, route, s, true)
		if err != nil {
			err = errors.Join(err, removeEmpty(route))
		}
		return r, err
	}
}
