package fsqueue

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// deliverForeign gives frames to a Perl peer, one file each in the directory
// that it reads. It has no limits that we know of, and tells nobody when it is
// full.
func (m *mailbox) deliverForeign(seen roster.Seen, frames []protocol.Frame) (int, error) {
	switch {
	case seen.State == protocol.Crashed:
		return 0, fmt.Errorf("%w: Perl removes the mailbox of a client that crashed", protocol.ErrPeerCrashed)
	case seen.Overdue(time.Now()):
		return 0, fmt.Errorf("%w: its suspension ended at %s", protocol.ErrPeerGone, seen.Until.Format(time.RFC3339))
	}
	name, err := m.store.Perl().Name(seen.ID)
	if err != nil {
		return 0, err
	}
	dir, err := m.store.FS().OpenDir(filepath.Join(m.door.route(), name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, errRemoved
	}
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	n := 0
	for n < len(frames) && err == nil {
		if err = m.post(dir, &frames[n]); err == nil {
			n++
		}
	}
	if m.settings.Sync && n > 0 {
		if err := dir.Sync(); err != nil {
			return 0, fmt.Errorf("%w: %w", protocol.ErrUnsure, err)
		}
	}
	return n, err
}

// post puts one message into a Perl peer's directory.
func (m *mailbox) post(dir disk.Dir, f *protocol.Frame) error {
	temp, err := m.writeFile(f.Data)
	if err != nil {
		return err
	}
	name, err := readyName(dir, stem(f.ID))
	if err == nil {
		err = m.draft.Rename(temp, dir, name)
	}
	if err != nil {
		return m.discard(temp, err)
	}
	return nil
}

// readyName is a name that no file has yet: a message that is sent twice keeps
// its id, and a rename would replace the first.
func readyName(dir disk.Dir, stem string) (string, error) {
	name := stem + readyEnd
	for i := 2; ; i++ {
		_, err := dir.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
		name = stem + "-" + strconv.Itoa(i) + readyEnd
	}
}

// stem makes a file name of a message's id, which may be any string.
func stem(id []byte) string {
	s := string(id)
	bad := strings.ContainsFunc(s, func(c rune) bool { return c < 0x20 || strings.ContainsRune(`/\<>:"|?*`, c) })
	if s == "" || len(s) > 200 || s[0] == '.' || bad {
		sum := sha256.Sum256(id)
		return hex.EncodeToString(sum[:16])
	}
	return s
}
