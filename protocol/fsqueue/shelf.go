package fsqueue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/protocol"
)

const (
	newDir = "new" // where senders put their files
	outDir = "out" // where the goodbye puts those that nobody has acknowledged yet
)

// shelf is the receiver's side of a mailbox: the files in it, what of them is
// handed out, and what is acknowledged.
//
// Files are taken from new, and stay there until they are acknowledged. Only a
// goodbye moves them to out, to be able to remove new while no sender puts
// anything more into it; whoever does not find a file in the one looks in the
// other.
type shelf struct {
	aside   corrupt.Place
	notice  func(error)
	gate    *gate.Keeper
	ledger  *ledger
	fresh   disk.Dir // new
	out     disk.Dir
	freshed flusher // puts new on disk
	outed   flusher

	leaving atomic.Bool // out may have files in it

	maxFrame int // bytes of one message
	maxFile  int // bytes of one file

	// Only Fetch uses these.
	order order
	queue []label

	mu     sync.Mutex
	known  map[string]*letter // by name: what is handed out and not acknowledged
	handed map[uint64]slip    // by tag
	bytes  int                // of what is handed out
	tag    uint64
	stuck  map[string]bool // by path: rubbish that cannot even be set aside
}

// slip is one message handed out.
type slip struct {
	letter *letter
	index  int
}

// list reads the names in the mailbox. What is no message's file is set aside.
func (s *shelf) list() (map[string]label, error) {
	found := map[string]label{}
	dirs := []disk.Dir{s.fresh}
	if s.leaving.Load() {
		// Second: a file that moves meanwhile is seen in one of the two.
		dirs = append(dirs, s.out)
	}
	for _, d := range dirs {
		names, err := d.Names()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, name := range names {
			l, err := parseLabel(name)
			if err == nil && l.size() > s.maxFile {
				err = fmt.Errorf("%w: it has %d bytes, at most %d are read", protocol.ErrTooLarge, l.size(), s.maxFile)
			}
			if err == nil {
				found[name] = l
			} else if !strings.HasPrefix(name, ".") {
				s.takeAside(d, name, err)
			}
		}
	}
	return found, nil
}

// refill lists the mailbox for the queue, which is empty, and says whether
// there is anything in it now.
func (s *shelf) refill() (bool, error) {
	for {
		first, err := s.news()
		if err != nil || len(first) == 0 {
			return false, err
		}
		ready, all := s.order.pick(first, nil)
		if !all {
			second, err := s.news()
			if err != nil {
				return false, err
			}
			ready, _ = s.order.pick(first, second)
		}
		if len(ready) > 0 {
			s.order.commit(ready)
			s.queue = ready
			return true, nil
		}
	}
}

// news lists what is not handed out yet.
func (s *shelf) news() (map[string]label, error) {
	found, err := s.list()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.known {
		delete(found, name)
	}
	return found, nil
}

// recount tells the gate what the mailbox holds, when a listing found nothing
// but what is handed out.
func (s *shelf) recount(before gate.Tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate.RecountSince(before, len(s.handed), s.bytes)
}

// load reads a file from wherever it lies.
func (s *shelf) load(name string, size int, room []byte) error {
	err := load(s.fresh, name, size, room)
	if errors.Is(err, fs.ErrNotExist) {
		err = load(s.out, name, size, room)
	}
	return err
}

// remove removes a file from wherever it lies. That it is gone is no error.
func (s *shelf) remove(name string) error {
	err := s.fresh.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = s.out.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// flush puts on disk that files were removed.
func (s *shelf) flush() error {
	err := s.freshed.flush(s.fresh)
	if s.leaving.Load() {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // the goodbye has removed it
		}
		err = errors.Join(err, s.outed.flush(s.out))
	}
	return err
}

// measure checks the size of a file before there is room made for it.
func (s *shelf) measure(name string, size int) error {
	info, err := s.fresh.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		info, err = s.out.Stat(name)
	}
	if err == nil && info.Size != int64(size) {
		err = fmt.Errorf("%w: %d bytes, not %d", errSize, info.Size, size)
	}
	return err
}

// rubbish says why a file that could not be loaded never will be, or nil.
func (s *shelf) rubbish(name string, err error) error {
	if errors.Is(err, errSize) || errors.Is(err, disk.ErrNotRegular) {
		return err
	}
	info, statErr := s.fresh.Stat(name)
	if statErr != nil {
		info, statErr = s.out.Stat(name)
	}
	if statErr != nil {
		return nil
	}
	return unusable(info)
}

// unusable says why what a directory entry is cannot be a message's file, or
// nil.
func unusable(info disk.Info) error {
	if !info.Mode.IsRegular() {
		return fmt.Errorf("%w: %v", disk.ErrNotRegular, info.Mode)
	}
	if uid := os.Geteuid(); info.UID >= 0 && uid >= 0 && info.UID != uid {
		return fmt.Errorf("it belongs to user %d", info.UID)
	}
	return nil
}

// setAside moves what cannot be used out of the mailbox.
func (s *shelf) setAside(name string, why error) {
	from := s.fresh
	if _, err := from.Stat(name); err != nil {
		from = s.out
	}
	s.takeAside(from, name, why)
}

func (s *shelf) takeAside(from disk.Dir, name string, why error) {
	path := filepath.Join(from.Path(), name)
	if s.isStuck(path) {
		return
	}
	why = fmt.Errorf("%s is set aside in %s: %w", path, s.aside.Dir, why)
	err := s.aside.Take(from, name, why)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if _, there := from.Stat(name); there == nil {
		s.mu.Lock()
		s.stuck[path] = true // told once, and left alone
		s.mu.Unlock()
	}
	s.notice(errors.Join(why, err))
}

func (s *shelf) isStuck(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stuck[path]
}

func (s *shelf) close() {
	if s.ledger != nil {
		s.ledger.close()
	}
	for _, d := range []disk.Dir{s.fresh, s.out} {
		if d != nil {
			d.Close()
		}
	}
}
