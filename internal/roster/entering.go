package roster

import (
	"errors"
	"io/fs"

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
	killed, err := r.killedEntering()
	if err != nil {
		return err
	}
	if killed != "" && killed != id {
		f, err := r.find(killed)
		if err == nil && f.rec == nil && !f.damaged && !f.Foreign {
			err = r.perl.Erase(killed)
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

// killedEntering gives the id of a client that was killed while it connected,
// or "".
func (r *Roster) killedEntering() (string, error) {
	data, err := disk.ReadFile(r.dot, entering, protocol.MaxID)
	if errors.Is(err, fs.ErrNotExist) || protocol.CheckID(string(data)) != nil && string(data) != protocol.Guard {
		return "", nil
	}
	return string(data), err
}
