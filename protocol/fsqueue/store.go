package fsqueue

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// store is a handle on one store: the roster with mailboxes.
type store struct{ *roster.Roster }

func newStore(r *roster.Roster, err error) (protocol.Store, error) {
	if err != nil {
		return nil, err
	}
	return &store{r}, nil
}

// Unread implements protocol.Store.
func (s *store) Unread(ctx context.Context, id string) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	n, err := s.unread(id)
	if err != nil {
		return 0, &protocol.Error{Op: "count unread of", Protocol: name, Peer: id, Err: err}
	}
	return n, nil
}

func (s *store) unread(id string) (int, error) {
	seen, err := s.Look(id)
	if errors.Is(err, protocol.ErrNoPeer) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	perl, err := s.unreadForeign(id)
	if err != nil || seen.Foreign {
		return perl, err
	}
	ours, err := s.unreadBox(s.Box(seen.Key))
	return perl + ours, err
}

// unreadBox counts what lies in a mailbox of ours.
func (s *store) unreadBox(path string) (int, error) {
	files, err := s.names(filepath.Join(path, newDir), filepath.Join(path, outDir))
	if err != nil {
		return 0, err
	}
	records, err := s.records(path)
	if err != nil {
		return 0, err
	}
	n := 0
	for name := range files {
		l, err := parseLabel(name)
		if err != nil {
			continue
		}
		n += l.count
		n -= len(records[name].acked)
	}
	return n, nil
}

func (s *store) records(path string) (map[string]record, error) {
	box, err := s.FS().OpenDir(path)
	if noDir(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer box.Close()
	data, err := disk.ReadFile(box, ledgerFile, ledgerMax)
	if err != nil {
		return nil, nil // none, or none that its holder will use
	}
	return parseLedger(data), nil
}

// unreadForeign counts what Perl delivered and nobody has taken in.
func (s *store) unreadForeign(id string) (int, error) {
	name, err := s.Perl().Name(id)
	if err != nil {
		return 0, err
	}
	route := filepath.Clean(s.Perl().Dir)
	files, err := s.names(filepath.Join(route, name), filepath.Join(route, "_"+name))
	if err != nil {
		return 0, err
	}
	n := 0
	for name := range files {
		if strings.HasSuffix(name, readyEnd) {
			n++
		}
	}
	dir, err := s.FS().OpenDir(route)
	if err != nil {
		return n, err
	}
	defer dir.Close()
	limit := largestFile(s.Settings())
	if data, err := disk.ReadFile(dir, name+resumeEnd, limit); err == nil {
		frames, _, _ := split(nil, data, largestFrame(s.Settings()))
		n += len(frames)
	}
	return n, nil
}

// noDir says that there is nothing, or something else than a directory, which
// no client made.
func noDir(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// names lists directories, each of which may be missing. A file that moves
// from one to the next meanwhile is counted once.
func (s *store) names(dirs ...string) (map[string]bool, error) {
	all := map[string]bool{}
	for _, path := range dirs {
		d, err := s.FS().OpenDir(path)
		if noDir(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		names, err := d.Names()
		d.Close()
		if err != nil && !noDir(err) { // removed since it was opened, by a goodbye
			return nil, err
		}
		for _, name := range names {
			all[name] = true
		}
	}
	return all, nil
}
