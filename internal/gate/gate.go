// Package gate is what stands before a mailbox on disk: whether it is open, how
// full it is, who waits for room, and the bell that wakes its reader.
//
// The receiver keeps the gate (Keeper), each sender visits it (Visitor). Both
// look at a few words of shared memory, so that a sender that finds room pays
// some atomic operations and no system call, and the reader's bell is rung only
// while the reader sleeps. A sender that finds none leaves its client's name
// with the gate and waits in its own client's Lobby, whose bell the keeper rings
// when there is room, or when there never will be.
//
// A killed process leaves nothing locked. One killed between handing a message
// in and counting it leaves the count a little too low, which Recount corrects;
// a keeper killed between taking the waiters' names and ringing leaves them
// asleep until its successor opens, which rings everybody: a name is put aside
// before the ring, and removed after it.
package gate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/bell"
	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/words"
)

// The gate's files in a mailbox's directory.
const (
	countsFile = "gate"    // the words
	bellFile   = "bell"    // rung for the reader
	lobbyFile  = "lobby"   // rung for the client where it waits as a sender
	waitersDir = "waiters" // one empty file for each client that waits for room, named as its mailbox
	calledDir  = "called"  // those of them that are about to be rung
)

// The words. What senders write and what the receiver writes is 64 bytes apart,
// or each would slow the other down.
const (
	wordState = 0
	wordUntil = 1 // of a suspension: Unix nanoseconds, 0 = no deadline
	wordEpoch = 2

	wordInMsgs  = 8 // ever accepted
	wordInBytes = 9
	wordCalls   = 10 // rings, heard or not

	wordOutMsgs  = 16 // ever acknowledged
	wordOutBytes = 17
	wordAsleep   = 18 // which sleep the reader sleeps while it waits for its bell, else 0

	wordWant      = 24 // 1 while waiters has a name in it
	wordMarkMsgs  = 25 // those who wait want to be rung below these
	wordMarkBytes = 26

	wordCount = 32
)

// The states. A gate that is just made is open: its record is what tells others
// of it.
const (
	stateOpen uint64 = iota
	stateSuspended
	stateSealed
	stateRazed // with its whole store
)

// Make puts the gate's files into the mailbox's directory box. Those that are
// there stay, with their counts; those that are not what they should be are
// made anew.
func Make(box string) error {
	counts := filepath.Join(box, countsFile)
	ok, err := sound(counts)
	if err != nil {
		return fmt.Errorf("make gate of %s: %w", box, err)
	}
	if !ok {
		if err := remove(counts); err != nil {
			return err
		}
		if err := words.Create(counts, wordCount); err != nil {
			return fmt.Errorf("make gate of %s: %w", box, err)
		}
	}
	if err := hang(filepath.Join(box, bellFile)); err != nil {
		return err
	}
	d, err := disk.Real.OpenDir(box)
	if err != nil {
		return err
	}
	defer d.Close()
	for _, name := range [...]string{waitersDir, calledDir} {
		if err := d.Mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make gate of %s: %w", box, err)
		}
	}
	return nil
}

// sound says whether the file holds the words of a gate. That it cannot be told
// now is an error: what others have in use must not be made anew.
func sound(path string) (bool, error) {
	w, err := words.Open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer w.Close()
	return w.Len() == wordCount, nil
}

// hang makes a bell unless there is one.
func hang(path string) error {
	b, err := bell.Open(path)
	if err == nil {
		return b.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	if err := remove(path); err != nil {
		return err
	}
	return bell.Make(path)
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// open opens the words of the gate in box.
func open(box string) (*words.Words, error) {
	w, err := words.Open(filepath.Join(box, countsFile))
	if err != nil {
		return nil, err
	}
	if w.Len() != wordCount {
		w.Close()
		return nil, fmt.Errorf("gate of %s has %d words instead of %d", box, w.Len(), wordCount)
	}
	return w, nil
}

// pending is what the mailbox holds. The two counts are read one after the
// other while both move, and a message may be acknowledged before its sender
// has counted it: the difference is never taken to be negative.
func pending(w *words.Words, in, out int) int {
	n := int64(w.Load(in) - w.Load(out))
	return int(max(n, 0))
}

// mark is how far a count must fall below its limit before those who wait are
// rung. A small mailbox rings for each place; a large one for an eighth of it,
// because to be rung costs a sender far more than to send.
func mark(limit int) uint64 {
	if limit > 1024 {
		limit -= limit / 8
	}
	return uint64(limit)
}

// overdue is when the suspension of the gate ends for senders: never, if ok is
// false.
func overdue(w *words.Words) (at time.Time, ok bool) {
	until := w.Load(wordUntil)
	if w.Load(wordState) != stateSuspended || until == 0 {
		return time.Time{}, false
	}
	return time.Unix(0, int64(until)), true
}

// call counts a ring and says which sleep of the reader must end for it, if any.
func call(w *words.Words) (sleep uint64) {
	w.Add(wordCalls, 1)
	return w.Load(wordAsleep)
}
