package measure

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/ipcmgr/ipcmgr/internal/filelock"
)

// A site is a directory of a run, with a file in it that is locked while the run
// lives. However a run ends, the next one in the same place can tell, and clears
// away what was left.
const (
	siteName = "bench"
	siteLock = ".ipcmgr-bench"
)

// sites are those of one run: one in each place that its rows name.
type sites struct {
	by    map[string]site
	rooms int
}

type site struct {
	dir  string
	lock *filelock.Hold
}

// room makes an empty directory in a place. Its path is short: there must be
// space left for the address of a socket.
func (s *sites) room(place string) (string, error) {
	at, ok := s.by[place]
	if !ok {
		var err error
		if at, err = newSite(place); err != nil {
			return "", err
		}
		if s.by == nil {
			s.by = map[string]site{}
		}
		s.by[place] = at
	}
	s.rooms++
	dir := filepath.Join(at.dir, strconv.Itoa(s.rooms))
	return dir, os.Mkdir(dir, 0o700)
}

func newSite(place string) (site, error) {
	clearAway(place)
	for {
		dir, err := os.MkdirTemp(place, siteName)
		if err != nil {
			return site{}, err
		}
		lock, free, err := filelock.TryLock(filepath.Join(dir, siteLock))
		switch {
		case free:
			return site{dir, lock}, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return site{}, errors.Join(err, os.RemoveAll(dir))
		}
		// Another run that begins took it for a dead one's.
	}
}

// clearAway removes the sites of dead runs, as far as it can.
func clearAway(place string) {
	locks, _ := filepath.Glob(filepath.Join(place, siteName+"*", siteLock)) // the pattern is sound
	for _, path := range locks {
		if lock, free, err := filelock.TryLock(path); err == nil && free {
			_ = os.RemoveAll(filepath.Dir(path))
			_ = lock.Unlock()
		}
	}
}

// remove ends all sites.
func (s *sites) remove() error {
	var errs []error
	for _, at := range s.by {
		errs = append(errs, at.lock.Unlock(), os.RemoveAll(at.dir))
	}
	return errors.Join(errs...)
}

// placeOf is where the files of a row are to be.
func placeOf(row Row, lane Lane) string {
	place := cmp.Or(row.Dir, os.TempDir())
	if lane.Memory && !inMemory(place) {
		for _, other := range []string{"/dev/shm", os.Getenv("XDG_RUNTIME_DIR"), os.TempDir()} {
			if inMemory(other) {
				return other
			}
		}
	}
	return place
}
