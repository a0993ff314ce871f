package gate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/bell"
	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/step"
	"github.com/ipcmgr/ipcmgr/internal/words"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Visitor is a sender at the gate of one peer. Its methods may be called
// concurrently; nothing may run during or after Close.
type Visitor struct {
	box   string
	lobby *Lobby
	words *words.Words
	rung  atomic.Uint64 // for which sleep of the reader, the last time

	mu   sync.Mutex
	rope *bell.Rope // opened when the reader is first found asleep
}

// Visit opens the gate in box for the client that waits in l. It matches
// fs.ErrNotExist when there is no gate.
func Visit(box string, l *Lobby) (*Visitor, error) {
	w, err := open(box)
	if err != nil {
		return nil, err
	}
	return &Visitor{box: box, lobby: l, words: w}, nil
}

// Sealed says whether the gate refuses everybody.
func (v *Visitor) Sealed() bool { return v.words.Load(wordState) >= stateSealed }

// Open says whether the peer has neither suspended nor sealed. If not, its id
// may have another gate by now, and the caller looks for it.
func (v *Visitor) Open() bool { return v.words.Load(wordState) == stateOpen }

// Admit returns nil when the mailbox holds less than maxMsgs messages and
// maxBytes bytes: what is handed in next may exceed these once. Otherwise it
// returns ErrFull or, with wait, blocks until there is room, also while the
// peer is suspended or has crashed. ErrPeerGone when the gate is sealed or the
// suspension is overdue, ErrNoStore when the store was unspawned, ErrClosed when
// the lobby is closed, context.Cause(ctx) when ctx ends first.
func (v *Visitor) Admit(ctx context.Context, maxMsgs, maxBytes int, wait bool) error {
	err := v.look(maxMsgs, maxBytes)
	if !wait || !errors.Is(err, protocol.ErrFull) {
		return err
	}
	return v.queue(ctx, maxMsgs, maxBytes)
}

// look is Admit without waiting.
func (v *Visitor) look(maxMsgs, maxBytes int) error {
	switch v.words.Load(wordState) {
	case stateSealed:
		return protocol.ErrPeerGone
	case stateRazed:
		return protocol.ErrNoStore
	case stateSuspended:
		if at, ok := overdue(v.words); ok && time.Now().After(at) {
			return fmt.Errorf("%w: its suspension ended at %s", protocol.ErrPeerGone, at.Format(time.RFC3339))
		}
	}
	if pending(v.words, wordInMsgs, wordOutMsgs) >= maxMsgs || pending(v.words, wordInBytes, wordOutBytes) >= maxBytes {
		return protocol.ErrFull
	}
	return nil
}

// queue waits for room.
func (v *Visitor) queue(ctx context.Context, maxMsgs, maxBytes int) error {
	v.lobby.enter()
	defer v.lobby.leave()
	for {
		rung := v.lobby.next()
		if err := v.register(); err != nil {
			if gone := v.look(maxMsgs, maxBytes); errors.Is(gone, protocol.ErrPeerGone) || errors.Is(gone, protocol.ErrNoStore) {
				return gone // the mailbox was removed meanwhile
			}
			return err
		}
		v.words.Store(wordMarkMsgs, mark(maxMsgs))
		v.words.Store(wordMarkBytes, mark(maxBytes))
		v.words.Store(wordWant, 1)
		if err := v.look(maxMsgs, maxBytes); !errors.Is(err, protocol.ErrFull) {
			return err
		}
		if err := v.sleep(ctx, rung); err != nil {
			return err
		}
	}
}

// sleep returns nil when it is time to look again.
func (v *Visitor) sleep(ctx context.Context, rung <-chan struct{}) error {
	var late <-chan time.Time
	if at, ok := overdue(v.words); ok {
		t := time.NewTimer(time.Until(at) + time.Millisecond)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-rung:
		return nil
	case <-late:
		return nil
	case <-v.lobby.closed:
		return protocol.ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// register leaves the client's name with the gate. Nobody takes it back when
// the wait ends otherwise: another goroutine of the client may wait here too,
// and a ring too many wakes nobody who is not there.
func (v *Visitor) register() error {
	d, err := disk.Real.OpenDir(filepath.Join(v.box, waitersDir))
	if err != nil {
		return err
	}
	defer d.Close()
	f, err := d.Append(v.lobby.key)
	if err != nil {
		return fmt.Errorf("wait for room: %w", err)
	}
	return f.Close()
}

// Accepted counts what was handed in, and wakes the reader.
func (v *Visitor) Accepted(msgs, bytes int) {
	v.words.Add(wordInBytes, int64(bytes))
	step.Here("bytes counted")
	v.words.Add(wordInMsgs, int64(msgs))
	step.Here("counted")
	v.Ring()
}

// Ring wakes the reader without a count.
func (v *Visitor) Ring() {
	sleep := call(v.words)
	step.Here("called")
	if sleep != 0 && sleep != v.rung.Load() && v.pull() == nil {
		v.rung.Store(sleep) // only now: others of this client rely on it
	}
}

// Pending is what the mailbox holds unacknowledged, as far as it is counted.
func (v *Visitor) Pending() (msgs, bytes int) {
	return pending(v.words, wordInMsgs, wordOutMsgs), pending(v.words, wordInBytes, wordOutBytes)
}

// pull rings the bell. A failure is that of the next to ring, too, or nobody's:
// the mailbox is being removed, or was damaged, which its reader finds out.
func (v *Visitor) pull() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.rope == nil {
		r, err := bell.OpenRope(filepath.Join(v.box, bellFile))
		if err != nil {
			return err
		}
		v.rope = r
	}
	return v.rope.Ring()
}

// Close ends the visit.
func (v *Visitor) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.rope != nil {
		v.rope.Close()
	}
	return v.words.Close()
}
