package roster

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Leave gives the place up under the store's lock: first clear, if not nil,
// removes the mailbox of a client that leaves for good, then the record says
// what became of it. If that fails the place is abandoned: who leaves has
// stopped, and nobody would ever leave for it.
func (e *Entry) Leave(ctx context.Context, d protocol.Departure, clear func() error) error {
	err := e.leave(ctx, d, clear)
	if err != nil {
		e.Abandon()
	}
	return e.r.fail(ctx, "leave", e.ID, err)
}

func (e *Entry) leave(ctx context.Context, d protocol.Departure, clear func() error) error {
	if err := e.begin(ctx); err != nil {
		return err
	}
	defer func() { <-e.turn }()
	err := e.r.Locked(ctx, func() error {
		if clear != nil {
			if err := clear(); err != nil {
				return err
			}
		}
		if d.Fold != nil {
			return e.fold(d)
		}
		return e.depart(d)
	})
	if err != nil && e.rec.Token != "" {
		return err
	}
	return errors.Join(err, e.end()) // the record says that the client has left
}

func (e *Entry) depart(d protocol.Departure) error {
	next := e.rec
	next.Token = ""
	next.Since = time.Now()
	if d.Stats != nil {
		next.Stats = d.Stats
	}
	if d.Suspend {
		next.State, next.Until = state(protocol.Suspended), d.Until
	} else {
		next.State, next.Attrs = state(protocol.Gone), nil
	}
	if err := e.r.records.write(&next); err != nil {
		return err
	}
	e.rec = next
	switch {
	case e.r.perl == nil:
		return nil
	case d.Suspend:
		return e.r.perl.Suspended(e.ID, d.Until, next.Stats)
	}
	return e.r.perl.Left(e.ID, next.Stats)
}

// fold leaves nothing of the client but what it adds to another's statistics.
func (e *Entry) fold(d protocol.Departure) error {
	r := e.r
	rec, _, err := r.records.read(Key(d.Under))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		rec = nil
	case errors.Is(err, errDamaged):
		rec = nil
		err = r.records.setAside(Key(d.Under))
		if err != nil {
			return err
		}
	case err != nil:
		return err
	}
	under := record{ID: d.Under, State: state(protocol.Gone), Since: time.Now()}
	if rec != nil {
		under = *rec
	}
	if under.Stats, err = d.Fold(append([]byte(nil), under.Stats...)); err != nil {
		return err
	}
	if err := r.records.write(&under); err != nil {
		return err
	}
	if err := r.records.remove(e.Key); err != nil {
		return err
	}
	if r.perl != nil {
		return r.perl.Erase(e.ID)
	}
	return nil
}

// Abandon leaves the client as a crash would: its record says so at once,
// though the process lives on.
func (e *Entry) Abandon() {
	if e.begin(context.Background()) != nil {
		return
	}
	defer func() { <-e.turn }()
	next := e.rec
	next.State, next.Token, next.Since = state(protocol.Crashed), "", time.Now()
	if e.r.standing() == nil {
		// Where this fails for good, the process's end will tell.
		_ = e.r.owe(e.rec, func() error { return e.r.records.write(&next) })
	}
	_ = e.end()
}

// end takes the entry out of the handle. The caller has the turn.
func (e *Entry) end() error {
	e.left = true
	e.r.mu.Lock()
	delete(e.r.entries, e)
	e.r.mu.Unlock()
	return e.presence.leave(e.r.Path())
}
