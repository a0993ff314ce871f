package roster

import (
	"errors"
	"io/fs"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// entering names the client that is connecting: whoever is killed at it leaves
// a mailbox of which no record tells, and Unspawn has to find it. It is
// changed under the store's lock, so there is one.
const entering = "entering"

// noteEntering is called before the mailbox is made. It removes what the last
// one left who was killed at that, unless the same client is back for it.
func (r *Roster) noteEntering(id string) error {
	if r.perl == nil { // mailboxes stand below the dot directory
		return nil
	}
	killed, _, err := r.lastEntering()
	if err != nil {
		return err
	}
	if killed != "" && killed != id {
		f, err := r.find(killed)
		switch {
		case err != nil || f.State != protocol.Gone:
		case f.rec == nil:
			err = r.perl.Erase(killed)
		default: // it had left before
			err = r.perl.Clear(killed)
		}
		if err != nil {
			return err
		}
	}
	return disk.WriteFile(r.dot, r.records.tmp, entering, []byte(id), false)
}

// entered is called when the record tells of the mailbox, or it is gone.
func (r *Roster) entered() error {
	if r.perl == nil {
		return nil
	}
	return r.dot.Remove(entering)
}

// lastEntering gives the id of the client that is connecting, or was killed at
// it, and when it began; or "".
func (r *Roster) lastEntering() (string, time.Time, error) {
	info, err := r.dot.Stat(entering)
	if err != nil {
		return "", time.Time{}, absent(err)
	}
	data, err := disk.ReadFile(r.dot, entering, protocol.MaxID)
	if err != nil || protocol.CheckID(string(data)) != nil && string(data) != protocol.Guard {
		return "", time.Time{}, absent(err)
	}
	return string(data), info.ModTime, nil
}

// absent makes nothing of a file that is not there.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
