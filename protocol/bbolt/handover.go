package bbolt

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/internal/filelock"
	bolt "go.etcd.io/bbolt"
)

const (
	// turn is how long a file is kept while somebody waits for it.
	turn = 2 * time.Millisecond
	// pause is the longest time between two operations that belong together.
	// After a longer one the next is likely to be far off too, and the file
	// does more good in another's hands. Both were found by measuring.
	pause = 120 * time.Microsecond
)

// file is one client's use of one mailbox's bbolt file. It takes the file in
// its turn, keeps it open from operation to operation while these follow each
// other and nobody else waits, and hands it over otherwise.
//
// An operation that finds another under way joins a queue; whoever is leading
// carries out all that is queued in one transaction, and then lets the next one
// lead.
type file struct {
	*turnstile
	life    context.Context // ends every wait for the file
	durable bool            // a commit is on disk when it returns
	aside   corrupt.Place   // takes a damaged file
	notice  func(error)     // never nil

	mu      sync.Mutex // guards all below; what comes after the queue belongs to the leader while there is one
	leading bool
	queue   []*job

	batch  []*job         // memory for the next one
	ledger ledger         // of the transaction under way
	lock   *filelock.Hold // nil: not held
	db     *bolt.DB       // nil: not open; open only while held
	since  time.Time      // when it was taken
	ended  time.Time      // when the last operation ended
	brisk  bool           // the last operation followed one closely
	alarm  *time.Timer    // set when somebody waits in this turn: ends it
}

// hold takes the file, unless it is held. The caller leads. A mailbox that was
// removed with its whole store had nobody wait for its file.
func (f *file) hold(ctx context.Context) error {
	if f.lock != nil && removed(f.lock.File()) {
		f.giveBack()
		return errReplaced
	}
	if f.lock == nil {
		lock, err := f.enter(ctx, f.life)
		if err != nil {
			return err
		}
		f.lock, f.since = lock, time.Now()
	}
	f.marks.Store(resting, 0)
	return nil
}

// there says whether the mailbox still is.
func (f *file) there() bool {
	info, err := os.Lstat(f.lock.File().Name())
	return err == nil && os.SameFile(info, f.identity)
}

// begins notes that an operation begins, before it waits for the file: that
// wait is no pause.
func (f *file) begins() { f.brisk = time.Since(f.ended) < pause }

// settle decides, between two operations, whether to keep the file. The caller
// holds mu, and nobody leads or is about to but the next one in the queue.
func (f *file) settle() {
	if f.lock == nil {
		return
	}
	f.marks.Store(resting, 1)
	kept := time.Since(f.since)
	busy := f.brisk || len(f.queue) > 0
	switch {
	case !busy, f.wanted() && kept >= turn:
		f.giveBack()
	case f.wanted() && f.alarm == nil:
		// One that goes on working gives it back before that.
		f.alarm = time.AfterFunc(turn-kept+pause, f.called)
	}
}

// called hands the file over if somebody waits for it: now, or at the end of
// its turn.
func (f *file) called() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.leading {
		f.settle()
	}
}

// rest hands the file over: its user has nothing to do for a while.
func (f *file) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.leading {
		f.giveBack()
	}
}

// giveBack closes the file, if it is open, and lets the next one have it.
func (f *file) giveBack() {
	if f.db != nil {
		f.shut()
	}
	if f.lock != nil {
		f.lock.Unlock()
		f.lock = nil
	}
	if f.alarm != nil {
		f.alarm.Stop()
		f.alarm = nil
	}
}

// close ends the use of the file. No operation is under way or begun later.
func (f *file) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.giveBack()
	f.marks.Close()
}
