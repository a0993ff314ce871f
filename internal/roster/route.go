package roster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

// CheckRoute refuses what means another place to another process, and the one
// directory that is in no other. The former may be the URL of a server, with a
// password in it, so it is not repeated.
func CheckRoute(route string) error {
	if !filepath.IsAbs(route) {
		return errors.New("the route is not absolute: give the whole path of a directory")
	}
	if clean := filepath.Clean(route); clean == filepath.Dir(clean) {
		return fmt.Errorf("the route %q is the root of a file system: choose a directory in it", route)
	}
	return nil
}

// openRoute opens the directory of a route that must be fit to hold a store.
func (k *Kind) openRoute(route string) (disk.Dir, error) {
	if err := CheckRoute(route); err != nil {
		return nil, err
	}
	clean := filepath.Clean(route)
	parent, err := k.openParent(clean)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	if err := private(parent, filepath.Base(clean)); err != nil {
		return nil, err
	}
	return k.fs().OpenDir(clean)
}

// openParent opens the directory that path stands in. Links on the way there
// are the system's business; path itself must be none.
func (k *Kind) openParent(path string) (disk.Dir, error) {
	parent, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return k.fs().OpenDir(parent)
}

// private says why name in dir is not a directory that only we can change, or
// nil. Who could change it could put another store in the place of ours.
func private(dir disk.Dir, name string) error {
	info, err := dir.Stat(name)
	if err != nil {
		return err
	}
	path := filepath.Join(dir.Path(), name)
	switch {
	case info.Mode&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link: use the path that it leads to", path)
	case !info.Mode.IsDir():
		return fmt.Errorf("%s is not a directory", path)
	case info.UID < 0: // a system without owners
		return nil
	case info.UID != os.Geteuid():
		return fmt.Errorf("%s belongs to uid %d, not to us: choose another or chown it to %d", path, info.UID, os.Geteuid())
	case info.Mode.Perm()&0o022 != 0:
		return fmt.Errorf("%s can be changed by other users (mode %04o): chmod go-w it or choose another", path, info.Mode.Perm())
	}
	return nil
}

// makeRoute makes the last directory of a route, unless it stands, and says
// whether it did.
func (k *Kind) makeRoute(route string, sync bool) (made bool, err error) {
	clean := filepath.Clean(route)
	parent, err := k.openParent(clean)
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("%s is to be made in a directory that does not exist: %w", route, err)
	}
	if err != nil {
		return false, err
	}
	defer parent.Close()
	err = parent.Mkdir(filepath.Base(clean))
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err == nil && sync {
		if err = parent.Sync(); err != nil {
			err = errors.Join(err, parent.Rmdir(filepath.Base(clean)))
		}
	}
	return err == nil, err
}

// removeEmpty removes a directory unless there is something in it, or it is
// gone already.
func removeEmpty(path string) error {
	for {
		err := os.Remove(path)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		left, listErr := os.ReadDir(path)
		if listErr == nil && len(left) > 0 {
			return nil
		}
		if listErr != nil && !errors.Is(listErr, fs.ErrNotExist) || !errors.Is(err, fs.ErrExist) {
			return err
		} // else it has become empty meanwhile
	}
}
