//go:build linux && !ipcmgr_fallback

package shm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// store is one handle.
type store struct {
	*roster.Roster
	ends ends
}

func spawn(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	if s.Sync {
		return nil, failed("spawn", "", fmt.Errorf("nothing is written to a disk, so that sync has no meaning: %w", errors.ErrUnsupported))
	}
	return handle(kind.Spawn(ctx, route, s))
}

func open(ctx context.Context, route string) (protocol.Store, error) {
	return handle(kind.Open(ctx, route))
}

func collect(ctx context.Context) ([]string, error) { return kind.Collect(ctx) }

func handle(r *roster.Roster, err error) (protocol.Store, error) {
	if err != nil {
		return nil, err
	}
	return &store{Roster: r}, nil
}

// Unread counts what the rings of a mailbox hold.
func (s *store) Unread(ctx context.Context, id string) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	seen, err := s.Look(id)
	if errors.Is(err, protocol.ErrNoPeer) {
		return 0, nil
	}
	if err != nil {
		return 0, failed("count unread of", id, err)
	}
	n, err := unreadIn(s.Box(seen.Key))
	return n, failed("count unread of", id, err)
}

func unreadIn(box string) (int, error) {
	rings, err := listRings(box)
	total := 0
	for _, path := range rings {
		n, ringErr := unreadOf(path)
		if errors.Is(ringErr, fs.ErrNotExist) || errors.Is(ringErr, errBroken) {
			continue // read to its end meanwhile, or of no use to its reader either
		}
		total += n
		err = errors.Join(err, ringErr)
	}
	return total, err
}

// lookAgain bounds how often a ring is counted that is read meanwhile.
const lookAgain = 100

// unreadOf counts the messages of a ring that others use. While a reader moves
// the head, what was counted may not have been records any more.
func unreadOf(path string) (n int, err error) {
	r, err := openRing(path)
	if err != nil {
		return 0, err
	}
	defer r.unmap()
	for range lookAgain {
		i := &inlet{ring: r, gone: r.head.Load()}
		i.pos = i.gone
		if err = i.look(); err == nil {
			n, _ = i.count()
		}
		if r.head.Load() == i.gone {
			break
		}
	}
	return n, err
}

// orFull says what it means that there is no memory left, and what can be done.
func (s *store) orFull(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("the file system of %s is full: receive what waits there, or mount it with a larger size: %w", s.Route(), unix.ENOSPC)
	}
	return err
}

// mkdir makes a directory of mode 0700 under any umask, unless it stands.
func mkdir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		info, err := os.Lstat(path)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is in the way and not a directory (%v): remove it", path, info.Mode())
		}
		return err
	}
	if err != nil {
		return err
	}
	return os.Chmod(path, 0o700)
}
