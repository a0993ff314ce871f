package gate

import (
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

// Raze ends all gates below boxes, the directory of all mailboxes, which is about
// to be removed: each sender and each reader that waits gets ErrNoStore from now
// on. Whoever waits for room has a lobby there, too. What is no mailbox, or a
// damaged one, keeps nobody from removing the rest.
func Raze(boxes string) {
	d, err := disk.Real.OpenDir(boxes)
	if err != nil {
		return
	}
	defer d.Close()
	keys, err := d.Names()
	if err != nil {
		return
	}
	for _, key := range keys {
		if w, err := open(filepath.Join(boxes, key)); err == nil {
			w.Store(wordState, stateRazed)
			call(w)
			w.Close()
		}
	}
	// Only now: each may wait at any of them.
	for _, key := range keys {
		_ = ring(filepath.Join(boxes, key, bellFile))
		_ = ring(filepath.Join(boxes, key, lobbyFile))
	}
}
