package fsqueue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

// What lies in a mailbox may have been put there by anybody who could. What
// cannot be used is set aside, with the reason.

// rubbish says why a file that could not be loaded never will be, or nil.
func (s *shelf) rubbish(name string, err error) error {
	if errors.Is(err, errSize) || errors.Is(err, disk.ErrNotRegular) {
		return err
	}
	var why error
	_ = s.wherever(func(d disk.Dir) error {
		info, err := d.Stat(name)
		if err == nil {
			why = unusable(info)
		}
		return err
	})
	return why
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
