package bbolt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	messagesName = "messages"
	newName      = "messages.new" // one that is being made
)

// stride is how many messages are accepted between two commits that delete what
// is acknowledged: it costs less for many at once.
const stride = 64

// options are the same for everybody who opens a file: a synced commit must not
// rest on one that was not.
func options(durable bool) *bolt.Options {
	return &bolt.Options{
		// Bolt's own lock is there for strangers. Ours keeps out everybody
		// else, so it is free but for the moment in which a holder dies, which
		// is long where processors are few, or if we are stopped in it.
		Timeout:      3 * time.Second,
		NoSync:       !durable,
		NoGrowSync:   !durable,
		NoStatistics: true,
	}
}

// open opens the file, which the caller holds. One that is damaged or missing
// is replaced first.
func (f *file) open() error {
	path := filepath.Join(f.box, messagesName)
	db, err := openDB(path, f.durable)
	if errors.Is(err, berrors.ErrInvalid) {
		db, err = openDB(path, f.durable) // bolt says this of a read that failed, too
	}
	if errors.Is(err, errDamaged) || errors.Is(err, fs.ErrNotExist) && f.there() {
		if err = f.replace(err); err == nil {
			db, err = openDB(path, f.durable)
		}
	}
	if err != nil && !f.there() {
		return errReplaced
	}
	f.db = db
	return err
}

// openDB opens a file that was there. The error matches fs.ErrNotExist if there
// is none, errDamaged if it is not what was written.
func openDB(path string, durable bool) (db *bolt.DB, err error) {
	var file *os.File
	o := options(durable)
	o.OpenFile = func(path string, flag int, mode os.FileMode) (*os.File, error) {
		info, err := os.Lstat(path)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || info.Size() < 2*int64(os.Getpagesize()) {
			return nil, fmt.Errorf("%w: %v of %d bytes", errDamaged, info.Mode(), info.Size())
		}
		file, err = os.OpenFile(path, flag&^os.O_CREATE|safely, mode)
		return file, err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			// What bolt had of it is out of reach: its map, which would keep the
			// lock when the descriptor is closed.
			unlock(file)
			file.Close()
			db, err = nil, fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	db, err = bolt.Open(path, 0o600, o)
	return db, damaged(err)
}

// damaged tells what is wrong with a file from what is wrong with the system.
func damaged(err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("another program has the mailbox's file open: %w", err)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return err
}

// mostRead is more than a mailbox is meant to have, in bytes. Damage may make
// bolt write far beyond the end of a file, which then is huge and empty.
const mostRead = 1 << 30

// readable says why a file cannot be read from one end to the other, or nil. To
// bolt a disk that fails looks like a file that is damaged.
func readable(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|safely, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(f, mostRead))
	return err
}

// shut closes the file and keeps it held. An error would say that closing a
// descriptor failed, of which nothing depends.
func (f *file) shut() {
	db := f.db
	f.db, f.ledger = nil, ledger{}
	db.Close()
}

// transact carries out a batch in one transaction, in which each job fails for
// itself; what it returns made all of it fail. Bolt panics where a page is not
// what it should be, and a file that was cut short is a fault in memory.
func (f *file) transact(batch []*job) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	writes := false
	for _, j := range batch {
		writes = writes || j.writes
	}
	tx, err := f.db.Begin(writes)
	if err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			f.drop(tx)
			err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	l := &f.ledger
	if err := l.open(tx); err != nil {
		tx.Rollback()
		return err
	}
	if writes {
		l.skip(f.marks.given(l.last()))
	}
	last := l.last()
	changed := false
	for _, j := range batch {
		j.err = j.work(l)
		changed = changed || j.writes && j.err == nil
	}
	if !changed {
		return tx.Rollback()
	}
	parts := len(l.forgets) > 0
	if parts || last/stride != l.last()/stride {
		l.sweep(append(l.forgets, f.marks.acknowledged()...).merge(), parts)
	}
	swollen := tx.Size() > swell && l.empty()
	last = l.last()
	id := tx.ID()
	if err := tx.Commit(); err != nil {
		return f.doubt(id, err)
	}
	if swollen {
		f.shrink(last)
	}
	return nil
}

// drop lets go of a file amid a transaction that panicked. Where even that
// panics, the file stays open for as long as the process lives, out of the way.
func (f *file) drop(tx *bolt.Tx) {
	db := f.db
	f.db = nil
	defer func() { _ = recover() }()
	tx.Rollback()
	db.Close()
}

// doubt looks at what a commit that failed has left. Bolt writes the page that
// makes a transaction count last: if that is not in the file, the transaction
// never was. If it is, it may or may not survive, and a second sync would prove
// nothing.
func (f *file) doubt(id int, cause error) error {
	f.shut()
	if err := f.open(); err != nil {
		return errors.Join(fmt.Errorf("%w: %w", protocol.ErrUnsure, cause), err)
	}
	tx, err := f.db.Begin(false)
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", protocol.ErrUnsure, cause), err)
	}
	defer tx.Rollback()
	if tx.ID() >= id {
		return fmt.Errorf("%w: %w", protocol.ErrUnsure, cause)
	}
	return cause
}
