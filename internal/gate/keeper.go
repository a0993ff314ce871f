package gate

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/bell"
	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/words"
)

// Keeper is the receiver's side of a gate: one for each mailbox. Its methods
// may be called concurrently, except that one Wait runs at a time and nothing
// runs during or after Close.
type Keeper struct {
	box, boxes string
	words      *words.Words
	bell       *bell.Bell
	rope       *bell.Rope
	heard      uint64 // wordCalls as Wait has last seen it
	waking     sync.Mutex
}

// Keep opens the gate in box for its receiver, without a change to its state.
// boxes is the directory of all mailboxes, in which those who wait have theirs.
func Keep(box, boxes string) (*Keeper, error) {
	w, err := open(box)
	if err != nil {
		return nil, err
	}
	b, err := bell.Open(filepath.Join(box, bellFile))
	if err != nil {
		w.Close()
		return nil, err
	}
	r, err := bell.OpenRope(filepath.Join(box, bellFile))
	if err != nil {
		w.Close()
		b.Close()
		return nil, err
	}
	return &Keeper{box: box, boxes: boxes, words: w, bell: b, rope: r, heard: w.Load(wordCalls)}, nil
}

// Open lets senders in. It wakes all that wait: a predecessor may have been
// killed when it was about to.
func (k *Keeper) Open(epoch uint64) {
	k.words.Store(wordEpoch, epoch)
	k.words.Store(wordUntil, 0)
	k.words.Store(wordAsleep, 0)
	k.words.Store(wordState, stateOpen)
	k.wake()
}

// Suspend leaves the gate open without a reader, until the deadline if that is
// not zero. Those who wait are woken, so that they learn the deadline.
func (k *Keeper) Suspend(until time.Time) {
	var nanos uint64
	if !until.IsZero() {
		nanos = uint64(until.UnixNano())
	}
	k.words.Store(wordUntil, nanos)
	k.words.Store(wordAsleep, 0)
	k.words.Store(wordState, stateSuspended)
	k.wake()
}

// Seal refuses each sender from now on with ErrPeerGone, those that wait
// included. A sender that was admitted just before may still hand in.
func (k *Keeper) Seal() {
	k.words.Store(wordState, stateSealed)
	k.wake()
}

// Sync puts the state on disk. Without it a power cut may leave a gate that
// nobody can read, and senders find an error until the receiver is back.
func (k *Keeper) Sync() error {
	f, err := os.OpenFile(filepath.Join(k.box, countsFile), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Wait blocks until the bell has been rung since Wait last returned (or, the
// first time, since Keep): look into the mailbox between the two and no
// message is missed. It returns context.Cause(ctx) when ctx ends and
// os.ErrClosed after Close.
func (k *Keeper) Wait(ctx context.Context) error {
	// Senders count their ring and then look at this word; here it is set and
	// then the count looked at. One of the two sees the other.
	k.words.Store(wordAsleep, 1)
	defer k.words.Store(wordAsleep, 0)
	k.Rest()
	for {
		if calls := k.words.Load(wordCalls); calls != k.heard {
			k.heard = calls
			return nil
		}
		if err := k.bell.Wait(ctx); err != nil {
			return err
		}
	}
}

// Rest is for a reader that is about to sleep, in Wait or elsewhere: one that
// sleeps on a part of its messages does not acknowledge, so it may never come
// below the mark that those who wait for room have set. They look again.
func (k *Keeper) Rest() {
	if k.words.Load(wordWant) != 0 {
		k.wake()
	}
}

// Ring wakes the keeper's own Wait.
func (k *Keeper) Ring() {
	if call(k.words) {
		// What a failed ring would have told is in the count of calls; a bell
		// that cannot be rung is found by Wait itself.
		_ = k.rope.Ring()
	}
}

// Added counts messages that came by another way than a Visitor.
func (k *Keeper) Added(msgs, bytes int) {
	k.words.Add(wordInBytes, int64(bytes))
	k.words.Add(wordInMsgs, int64(msgs))
}

// Freed counts messages that are acknowledged, and wakes those who wait for
// room when there is some.
func (k *Keeper) Freed(msgs, bytes int) {
	k.words.Add(wordOutBytes, int64(bytes))
	k.words.Add(wordOutMsgs, int64(msgs))
	k.offer()
}

// Pending is what the mailbox holds unacknowledged.
func (k *Keeper) Pending() (msgs, bytes int) {
	return pending(k.words, wordInMsgs, wordOutMsgs), pending(k.words, wordInBytes, wordOutBytes)
}

// Recount replaces what Pending says by what a look at the whole mailbox found.
// Do it whenever that is known, and always before a Wait on an empty mailbox:
// a sender that counts later than the look rings, so the next one corrects it.
func (k *Keeper) Recount(msgs, bytes int) {
	k.words.Store(wordOutBytes, k.words.Load(wordInBytes)-uint64(bytes))
	k.words.Store(wordOutMsgs, k.words.Load(wordInMsgs)-uint64(msgs))
	k.offer()
}

// offer wakes those who wait if the mailbox is below their mark.
func (k *Keeper) offer() {
	if k.words.Load(wordWant) == 0 {
		return
	}
	msgs, bytes := k.Pending()
	if uint64(msgs) < k.words.Load(wordMarkMsgs) && uint64(bytes) < k.words.Load(wordMarkBytes) {
		k.wake()
	}
}

// wake rings everybody who waits, and forgets them: who finds no room waits
// again. Clearing the word comes first: who sets it after that has either left
// its name in time, or looks for room after all that happened here. A name is
// moved before its client is rung, which may leave it anew at once, and removed
// after: a successor finds those whom a killed keeper was about to ring.
func (k *Keeper) wake() {
	k.waking.Lock()
	defer k.waking.Unlock()
	k.words.Store(wordWant, 0)
	called, err := disk.Real.OpenDir(filepath.Join(k.box, calledDir))
	if err != nil {
		return // the mailbox is being removed with everything in it
	}
	defer called.Close()
	waiters, err := disk.Real.OpenDir(filepath.Join(k.box, waitersDir))
	if err != nil {
		return
	}
	defer waiters.Close()
	names, err := waiters.Names()
	if err != nil {
		return
	}
	for _, key := range names {
		_ = waiters.Rename(key, called, key)
	}
	if names, err = called.Names(); err != nil {
		return
	}
	for _, key := range names {
		if r, err := bell.OpenRope(filepath.Join(k.boxes, key, lobbyFile)); err == nil { // else that client is gone
			_ = r.Ring()
			r.Close()
		}
		_ = called.Remove(key)
	}
}

// Close ends the keeper's use of the gate, and a Wait with os.ErrClosed. It
// changes no state.
func (k *Keeper) Close() error {
	err := k.bell.Close()
	if e := k.rope.Close(); err == nil {
		err = e
	}
	if e := k.words.Close(); err == nil {
		err = e
	}
	return err
}
