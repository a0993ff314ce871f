package roster

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// debt is a record of this handle's that should say something else by now, and
// does not because writing failed: on a full disk, say, where a client could
// neither suspend nor be noted as crashed. Such a record names this process,
// which lives, and would keep everybody from the id. The handle pays as soon as
// it can: it tries at intervals, when somebody enters through it, and when it is
// closed.
type debt struct {
	stands record // what the store has, unless somebody else has changed it
	pay    func() error
}

// instalment is how long a handle waits until it tries again to pay.
const instalment = time.Second

// owe runs pay, under the store's lock if it needs that, and notes a debt if it
// fails.
func (r *Roster) owe(stands record, pay func() error) error {
	err := pay()
	if err != nil {
		r.note(debt{stands, pay})
	}
	return err
}

func (r *Roster) note(d debt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.debts = append(r.debts, d)
	r.remind()
}

// remind has the debts paid later, unless that is on its way. The caller holds
// mu.
func (r *Roster) remind() {
	if r.reminded || r.closed {
		return
	}
	r.reminded = true
	time.AfterFunc(instalment, r.reminder)
}

func (r *Roster) reminder() {
	r.paying.Lock()
	defer r.paying.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := r.Locked(ctx, func() error { r.settle(); return nil })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reminded = false
	if errors.Is(err, protocol.ErrNoStore) {
		r.debts = nil // the record is no more
	}
	if len(r.debts) > 0 {
		r.remind()
	}
}

func (r *Roster) owes() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.debts) > 0
}

// settle pays what it can. The caller holds the store's lock.
func (r *Roster) settle() {
	r.mu.Lock()
	debts := r.debts
	r.debts = nil
	r.mu.Unlock()
	for _, d := range debts {
		now, _, err := r.records.read(Key(d.stands.ID))
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errDamaged):
		case err != nil:
			r.note(d) // what the record says cannot be told now
		case now.Token == d.stands.Token && now.Epoch == d.stands.Epoch:
			_ = r.owe(d.stands, d.pay)
		}
	}
}

// undo takes back what stands of a client whose Enter failed after its mailbox
// was made. What it cannot remove, the note of who was entering still tells of.
func (r *Roster) undo(ctx context.Context, e *Entry, before *found) error {
	err := r.owe(e.rec, func() error { return r.restore(before) })
	if e.Found == protocol.Gone {
		err = errors.Join(err, r.eraseMailbox(ctx, e.ID))
	}
	if err == nil {
		err = r.entered()
	}
	return err
}

// restore makes a record again what it was.
func (r *Roster) restore(before *found) error {
	if before.rec == nil {
		return r.records.remove(before.Key)
	}
	err := r.records.write(before.rec)
	if errors.Is(err, disk.ErrUnsynced) {
		return nil // the one that it replaced was not on disk for sure, either
	}
	return err
}

func (r *Roster) eraseMailbox(ctx context.Context, id string) error {
	if err := r.RemoveBox(ctx, Key(id)); err != nil || r.perl == nil {
		return err
	}
	return r.perl.Erase(id)
}

// RemoveBox removes the directory of a mailbox. Senders that do not know yet
// may be leaving their names in it.
func (r *Roster) RemoveBox(ctx context.Context, key string) error {
	boxes, err := r.dot.Sub("box")
	if err != nil {
		return err
	}
	defer boxes.Close()
	return disk.RemoveAll(ctx, boxes, key)
}
