package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/bell"
	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/words"
	"github.com/ipcmgr/ipcmgr/protocol"
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
	sleep      uint64 // the last one's number, which no other keeper of this gate has
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

// sleepsOf is what the numbers of a keeper's sleeps begin after.
func sleepsOf(epoch uint64) uint64 { return epoch << 32 }

// Open lets senders in. It wakes all that wait: a predecessor may have been
// killed when it was about to.
func (k *Keeper) Open(epoch uint64) {
	k.sleep = sleepsOf(epoch)
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
// message is missed. It returns context.Cause(ctx) when ctx ends, ErrNoStore when
// the store was unspawned, and os.ErrClosed after Close.
func (k *Keeper) Wait(ctx context.Context) error {
	// Senders count their ring and then look at this word; here it is set and
	// then the count looked at. One of the two sees the other.
	// Nobody but the reader clears it: a sender that did and was killed before
	// it rang would leave the reader asleep for all. So that not each of many
	// messages is a ring, the sleep has a number, and a sender rings once for it.
	defer k.words.Store(wordAsleep, 0)
	for {
		// A ring ends a sleep, also one that was for what is known already: its
		// sender does not ring for that sleep again.
		k.sleep++
		k.words.Store(wordAsleep, k.sleep)
		k.Rest()
		heard := k.Heard()
		if k.words.Load(wordState) == stateRazed { // which was set before the call was counted
			return fmt.Errorf("%w: it was unspawned", protocol.ErrNoStore)
		}
		if heard {
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

// Heard says whether Wait would have returned at once, in its place. Only
// who would call Wait calls it.
func (k *Keeper) Heard() bool {
	calls := k.words.Load(wordCalls)
	heard := calls != k.heard
	k.heard = calls
	return heard
}

// Ring wakes the keeper's own Wait.
func (k *Keeper) Ring() {
	if call(k.words) != 0 {
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

// Recount replaces what Pending says by what a look at the whole mailbox found,
// when no sender can have counted since.
func (k *Keeper) Recount(msgs, bytes int) { k.RecountSince(k.Tally(), msgs, bytes) }

// Tally is what senders have counted, ever.
type Tally struct{ msgs, bytes uint64 }

// Tally is for RecountSince.
func (k *Keeper) Tally() Tally {
	return Tally{k.words.Load(wordInMsgs), k.words.Load(wordInBytes)}
}

// RecountSince replaces what Pending says by what a look at the whole mailbox
// found, where before was taken before the look: what was counted since is not
// forgotten. Do it whenever that is known, and always before a Wait on an empty
// mailbox: a sender that counts what the look has found already counts it twice,
// but rings, so the next look corrects it.
func (k *Keeper) RecountSince(before Tally, msgs, bytes int) {
	k.words.Store(wordOutBytes, before.bytes-uint64(bytes))
	k.words.Store(wordOutMsgs, before.msgs-uint64(msgs))
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
// after: a successor finds those whom a killed keeper was about to ring. Who
// could not be rung, for want of a descriptor say, is still wanted: the next
// Freed or Wait tries again.
func (k *Keeper) wake() {
	k.waking.Lock()
	defer k.waking.Unlock()
	k.words.Store(wordWant, 0)
	if k.ringAll() != nil {
		k.words.Store(wordWant, 1)
	}
}

func (k *Keeper) ringAll() error {
	called, err := disk.Real.OpenDir(filepath.Join(k.box, calledDir))
	if err != nil {
		return err
	}
	defer called.Close()
	waiters, err := disk.Real.OpenDir(filepath.Join(k.box, waitersDir))
	if err != nil {
		return err
	}
	defer waiters.Close()
	names, err := waiters.Names()
	if err != nil {
		return err
	}
	var failed error
	for _, key := range names {
		failed = errors.Join(failed, waiters.Rename(key, called, key))
	}
	if names, err = called.Names(); err != nil {
		return err
	}
	for _, key := range names {
		if err := ring(filepath.Join(k.boxes, key, lobbyFile)); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		_ = called.Remove(key)
	}
	return failed
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
