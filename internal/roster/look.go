package roster

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/perl"
	"github.com/ipcmgr/ipcmgr/internal/process"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Seen is one client as this handle finds it.
type Seen struct {
	protocol.Peer
	Key     string // the file name for its id, also that of its box
	Epoch   uint64 // 0 where it is not known: a foreign client, a damaged record
	Foreign bool   // a Perl client: its mailbox is in the route, not in box/
}

// Look finds one client. ErrNoPeer when the id is free; one that has left for
// good is. It costs one small file, or an lstat if that did not change, and one
// look at a lock, or at the process where that is watched.
func (r *Roster) Look(id string) (Seen, error) {
	f, err := r.find(id)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrClosed) {
		if gone := r.standing(); gone != nil {
			err = gone
		}
	}
	if err == nil && f.State == protocol.Gone {
		err = fmt.Errorf("%w: %q", protocol.ErrNoPeer, id)
		if gone := r.standing(); gone != nil {
			err = gone
		}
	}
	if err != nil {
		return Seen{}, err
	}
	return f.Seen, nil
}

// Ended says whether the connection with an epoch of the client with a key has
// ended, however it did.
func (r *Roster) Ended(key string, epoch uint64) (bool, error) {
	rec, _, err := r.records.read(key)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged):
		return true, nil
	case err != nil:
		return false, err
	case rec.Epoch != epoch:
		return true, nil
	}
	p, err := r.judge(rec)
	return p.State != protocol.Active, err
}

// found is what stands under an id, Gone if it is free.
type found struct {
	Seen
	rec     *record // ours, if there is one that can be read
	written time.Time
	damaged bool // something stands where our record would
}

func (r *Roster) find(id string) (found, error) {
	f := found{Seen: Seen{Peer: protocol.Peer{ID: id, State: protocol.Gone}, Key: Key(id)}}
	rec, written, err := r.records.read(f.Key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, errDamaged):
		f.State, f.damaged = protocol.Crashed, true
	case err != nil:
		return f, err
	case rec.ID == id:
		f.rec, f.written, f.Epoch = rec, written, rec.Epoch
		if f.Peer, err = r.judge(rec); err != nil {
			return f, err
		}
	case strings.EqualFold(rec.ID, id): // where file names are the same in either case
		return f, fmt.Errorf("%q cannot be told from %q in %s: choose an id that differs in more than case", id, rec.ID, r.route)
	default:
		return f, fmt.Errorf("%s is about %q, not %q", r.Path("peers", f.Key), rec.ID, id)
	}
	if r.perl == nil || f.State == protocol.Active || protocol.CheckID(id) != nil {
		return f, nil
	}
	p, ok, err := r.perl.Peer(id)
	if err != nil || !ok {
		return f, err
	}
	theirs, foreign, err := r.takenUp(p, &f.Peer)
	if err == nil && foreign {
		f.Peer, f.Foreign = theirs, true
	}
	return f, err
}

// judge says which state the client of a record is in. Where its holder's death
// was not seen as it happened, Since is when it was first noticed.
func (r *Roster) judge(rec *record) (protocol.Peer, error) {
	p := rec.peer()
	if p.State != protocol.Active {
		return p, nil
	}
	up, since, err := r.lives.alive(rec.holder())
	if !up && err == nil {
		p.State, p.Since = protocol.Crashed, since
	}
	return p, err
}

// takenUp says whether an id that no living client of ours holds is a foreign
// client's, given what our records say of it: nothing (Gone), suspended or
// crashed. In the latter cases it is if another process holds it now.
func (r *Roster) takenUp(p perl.Peer, ours *protocol.Peer) (theirs protocol.Peer, foreign bool, err error) {
	theirs = protocol.Peer{ID: p.ID, PID: p.PID, State: p.State, Since: p.Since, Until: p.Until}
	if p.State == protocol.Active {
		if p.Ours { // not cleared away yet, or by nobody
			return theirs, false, nil
		}
		up, since, err := r.lives.alive(foreignHolder(p))
		if err != nil {
			return theirs, false, err
		}
		if up {
			return theirs, true, nil
		}
		theirs.State, theirs.Since = protocol.Crashed, since
	}
	if ours.State != protocol.Gone {
		return theirs, false, nil
	}
	if theirs.State == protocol.Suspended {
		ours, err := r.connecting(&p)
		return theirs, !ours, err
	}
	return theirs, true, nil
}

// connecting says whether what looks like a foreign client that has suspended
// is one of ours. One that had left and connects again looks so until D.pid is
// there: the note of who is entering tells of it, and after that its record.
func (r *Roster) connecting(p *perl.Peer) (bool, error) {
	id, since, err := r.lastEntering()
	if err != nil || id == p.ID && !p.Since.After(since) {
		return err == nil, err
	}
	rec, _, err := r.records.read(Key(p.ID))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
		return false, nil
	}
	return err == nil && rec.state() != protocol.Gone, err
}

func foreignHolder(p perl.Peer) holder {
	return holder{id: process.ID{PID: p.PID}, written: p.Since.UnixNano()}
}
