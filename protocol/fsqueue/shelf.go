package fsqueue

import (
	"errors"
	"fmt"
	"io/fs"
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
	order  order
	queue  []label
	listed bool      // since the bell was last heard
	found  []label   // room for a listing
	opened []*letter // by one fetch

	mu      sync.Mutex
	known   map[string]*letter // by name: what is handed out and not acknowledged
	letters map[uint64]*letter // the same by number
	number  uint64             // of the last
	msgs    int                // handed out
	bytes   int
	acked   []int           // room for those of one file
	stuck   map[string]bool // by path: rubbish that cannot even be set aside
}

// empty says that nothing has come since the mailbox was found to hold nothing
// but what is handed out, unless it came without a ring.
func (s *shelf) empty() bool { return s.listed && len(s.queue) == 0 }

// list appends to found what lies in the mailbox and is not in hand, sorted by
// name. What is no message's file is set aside.
func (s *shelf) list(found []label) ([]label, error) {
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
			if s.inHand(name) != nil {
				continue
			}
			l, err := parseLabel(name)
			if err == nil && l.size() > s.maxFile {
				err = fmt.Errorf("%w: it has %d bytes, at most %d are read", protocol.ErrTooLarge, l.size(), s.maxFile)
			}
			if err == nil {
				found = append(found, l)
			} else if !strings.HasPrefix(name, ".") {
				s.takeAside(d, name, err)
			}
		}
	}
	return byName(found), nil
}

// refill lists the mailbox for the queue, which is empty, and says whether
// there is anything in it now.
func (s *shelf) refill() (bool, error) {
	first, err := s.list(s.found[:0])
	if err != nil {
		return false, err
	}
	s.found = first
	ready, all := s.order.pick(first, nil)
	if !all {
		second, err := s.list(make([]label, 0, len(first)))
		if err != nil {
			return false, err
		}
		ready, _ = s.order.pick(first, second)
	}
	s.order.commit(ready)
	s.queue, s.listed = ready, true
	return len(ready) > 0, nil
}

// recount tells the gate what the mailbox holds, when a listing found nothing
// but what is handed out.
func (s *shelf) recount(before gate.Tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate.RecountSince(before, s.msgs, s.bytes)
}

// inHand gives the letter of a file, of which messages are handed out.
func (s *shelf) inHand(name string) *letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[name]
}

// wherever does something with a file in the directory in which it lies.
func (s *shelf) wherever(do func(d disk.Dir) error) error {
	err := do(s.fresh)
	if errors.Is(err, fs.ErrNotExist) {
		err = do(s.out)
	}
	return err
}

// remove removes a file. That it is gone is no error.
func (s *shelf) remove(name string) error {
	err := s.wherever(func(d disk.Dir) error { return d.Remove(name) })
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
