package roster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/ipcmgr/ipcmgr/internal/process"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Entry is the place of one client that is connected through this handle.
type Entry struct {
	ID      string
	Key     string            // the file name for the id, also that of its box
	Epoch   uint64            // of this Connect
	Found   protocol.State    // what stood under the id: Gone when it was free
	Foreign bool              // what was taken up had been a foreign client's
	Attrs   map[string]string // as they were before this Connect: of a client taken up
	Stats   []byte            // likewise: of the id

	r        *Roster
	notice   func(error)
	presence *presence
	turn     chan struct{} // holds a value while a call changes what is below
	rec      record        // as it stands in the store
	left     bool
}

// Enter takes a place under the store's lock: it applies the rule of the mode,
// calls setup, which makes the mailbox or takes it up and must tolerate what a
// crash left of one, and then writes the record and, last, what foreign
// programs read. If setup fails, the record stays as it was.
func (r *Roster) Enter(ctx context.Context, o protocol.ConnectOptions, setup func(e *Entry) error) (*Entry, error) {
	var e *Entry
	var err error
	if o.ID != protocol.Guard {
		err = protocol.CheckID(o.ID)
	}
	if err == nil {
		err = r.Locked(ctx, func() error {
			ending, err := r.ending()
			if err != nil {
				return err
			}
			if ending {
				return protocol.ErrEnding
			}
			r.settle()
			f, err := r.find(o.ID)
			if err != nil {
				return err
			}
			if err := admit(o.Mode, &f.Peer); err != nil {
				return err
			}
			e, err = r.enter(ctx, &f, o, setup)
			return err
		})
	}
	if err != nil {
		return nil, r.fail(ctx, "connect", o.ID, err)
	}
	return e, nil
}

// admit applies the rule of the mode to what stands under the id.
func admit(mode protocol.Mode, p *protocol.Peer) error {
	switch {
	case p.State == protocol.Active:
		return fmt.Errorf("%w: process %d holds it", protocol.ErrPeerActive, p.PID)
	case p.State == protocol.Gone && mode == protocol.Reconnect:
		return protocol.ErrNoPeer
	case p.State == protocol.Suspended && mode == protocol.New:
		return fmt.Errorf("%w: reconnect or resume it", protocol.ErrPeerSuspended)
	case p.State == protocol.Crashed && mode == protocol.New:
		return fmt.Errorf("%w: reconnect or resume it", protocol.ErrPeerCrashed)
	}
	return nil
}

func (r *Roster) enter(ctx context.Context, f *found, o protocol.ConnectOptions, setup func(e *Entry) error) (_ *Entry, err error) {
	p, err := appear(r.Path())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.leave(r.Path()))
		}
	}()
	self := process.Self()
	e := &Entry{
		ID: o.ID, Key: f.Key, Epoch: f.Epoch + 1, Found: f.State, Foreign: f.Foreign,
		r: r, notice: o.Notice, presence: p, turn: make(chan struct{}, 1),
		rec: record{
			ID: o.ID, State: state(protocol.Active), Since: time.Now(),
			PID: self.PID, Start: self.Start, Token: p.token,
		},
	}
	if f.damaged {
		// What it counted is lost. The clock is ahead of any count, also of one
		// that began with it: no Connect takes less than a microsecond.
		e.Epoch = uint64(time.Now().UnixMicro())
	}
	e.rec.Epoch = e.Epoch
	if e.rec.Stats, err = r.statsOf(f); err != nil {
		return nil, err
	}
	if f.rec != nil && !f.Foreign {
		e.rec.Attrs = f.rec.Attrs // none if it left for good
	}
	e.Attrs, e.Stats = maps.Clone(e.rec.Attrs), slices.Clone(e.rec.Stats)
	if o.Attrs != nil {
		if err := checkAttrs(o.Attrs); err != nil {
			return nil, err
		}
		e.rec.Attrs = maps.Clone(o.Attrs)
	}
	if err := r.noteEntering(e.ID); err != nil {
		return nil, err
	}
	if err := setup(e); err != nil {
		return nil, errors.Join(err, r.entered())
	}
	if f.damaged {
		if err := r.records.setAside(f.Key); err != nil {
			return nil, err
		}
	}
	err = r.records.write(&e.rec)
	if err == nil && r.perl != nil {
		err = r.perl.Connected(e.ID)
	}
	if err == nil {
		err = r.admitted(e)
	}
	if err == nil {
		// A note that stays does no harm: the record tells of the mailbox.
		_ = r.entered()
		return e, nil
	}
	return nil, errors.Join(err, r.undo(ctx, e, f))
}

// admitted counts e among the clients of the handle, and tells it what nobody
// was there to hear.
func (r *Roster) admitted(e *Entry) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return protocol.ErrClosed
	}
	r.entries[e] = e.Abandon
	var untold error
	if e.notice != nil {
		untold, r.untold = r.untold, nil
	}
	r.mu.Unlock()
	if untold != nil {
		e.notice(untold)
	}
	return nil
}

// Hold makes Close of the handle call abandon, which calls Abandon, for a client
// that is ready. It returns false if the handle is closed.
func (e *Entry) Hold(abandon func()) bool {
	e.r.mu.Lock()
	defer e.r.mu.Unlock()
	_, open := e.r.entries[e]
	if open {
		e.r.entries[e] = abandon
	}
	return open
}

// begin waits for the turn of a call that changes the record.
func (e *Entry) begin(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if e.left {
		<-e.turn
		return protocol.ErrClosed
	}
	return nil
}

// checkAttrs refuses what JSON would change on its way into the record.
func checkAttrs(attrs map[string]string) error {
	for k, v := range attrs {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("the attribute %q is not valid UTF-8", k)
		}
	}
	return nil
}

// Publish replaces what others see of this client; nil stats stay as they are.
func (e *Entry) Publish(ctx context.Context, attrs map[string]string, stats []byte) error {
	err := e.publish(ctx, attrs, stats)
	return e.r.fail(ctx, "publish", e.ID, err)
}

func (e *Entry) publish(ctx context.Context, attrs map[string]string, stats []byte) error {
	if err := checkAttrs(attrs); err != nil {
		return err
	}
	if err := e.begin(ctx); err != nil {
		return err
	}
	defer func() { <-e.turn }()
	if err := e.r.standing(); err != nil {
		return err
	}
	next := e.rec
	next.Attrs = maps.Clone(attrs)
	if stats != nil {
		next.Stats = stats
	}
	if err := e.r.records.write(&next); err != nil {
		return err
	}
	next.Stats = slices.Clone(next.Stats) // the caller's bytes are not kept
	e.rec = next
	return nil
}
