package roster

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/ipcmgr/ipcmgr/internal/filelock"
	"github.com/ipcmgr/ipcmgr/internal/process"
)

// presence is this process's proof of life in one store: a file in procs/ that
// it keeps locked. The kernel frees the lock when the process ends, however it
// ends. All owners and clients of the store in this process share one, and it
// goes with the last of them.
type presence struct {
	dot   os.FileInfo // of the store, for routes may have several names
	token string      // the name of the file
	lock  *filelock.Hold
	uses  int
}

var present struct {
	sync.Mutex
	all []*presence
}

// appear gives the presence of this process in the store at dot. The caller
// holds the store's lock, or is the only one to know the store.
func appear(dot string) (*presence, error) {
	info, err := os.Lstat(dot)
	if err != nil {
		return nil, err
	}
	present.Lock()
	defer present.Unlock()
	for _, p := range present.all {
		if os.SameFile(p.dot, info) {
			p.uses++
			return p, nil
		}
	}
	procs := filepath.Join(dot, "procs")
	if err := sweep(procs); err != nil {
		return nil, err
	}
	self := process.Self()
	p := &presence{
		dot:   info,
		token: fmt.Sprintf("%d-%d-%s", self.PID, self.Start, strings.ToLower(rand.Text())),
		uses:  1,
	}
	// Nobody looks at the file before a record names it, so it need not be
	// locked from its first instant.
	lock, ok, err := filelock.TryLock(filepath.Join(procs, p.token))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("somebody else has locked %s", filepath.Join(procs, p.token))
	}
	p.lock = lock
	present.all = append(present.all, p)
	return p, nil
}

// leave ends one use. The store at dot may be gone by now.
func (p *presence) leave(dot string) error {
	present.Lock()
	defer present.Unlock()
	if p.uses--; p.uses > 0 {
		return nil
	}
	for i, other := range present.all {
		if other == p {
			present.all = append(present.all[:i], present.all[i+1:]...)
			break
		}
	}
	err := os.Remove(filepath.Join(dot, "procs", p.token))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, p.lock.Unlock())
}

// ours says whether a token is that of this process.
func ours(token string) bool {
	present.Lock()
	defer present.Unlock()
	for _, p := range present.all {
		if p.token == token {
			return true
		}
	}
	return false
}

// sweep removes the files of processes that have ended. A missing file proves
// the same as one that nobody locks.
func sweep(procs string) error {
	entries, err := os.ReadDir(procs)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(procs, e.Name())
		if held, err := filelock.Held(path); err == nil && !held {
			os.Remove(path)
		}
	}
	return nil
}

// inhabited says whether a process that lives is present in the store at dot.
func inhabited(dot string) (bool, error) {
	procs := filepath.Join(dot, "procs")
	entries, err := os.ReadDir(procs)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		held, err := filelock.Held(filepath.Join(procs, e.Name()))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
			continue // gone, or nothing that could be locked
		}
		if held || err != nil {
			return held, err
		}
	}
	return false, nil
}
