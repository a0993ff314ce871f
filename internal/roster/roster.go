package roster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/filelock"
	"github.com/ipcmgr/ipcmgr/internal/perl"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Roster is a handle on one store. It is a protocol.Store but for Connect and
// Unread, which are the protocol's. Its methods may be called concurrently.
type Roster struct {
	kind    *Kind
	route   string // as given
	head    head
	info    os.FileInfo // of Dot: another store may come to stand at the route
	dot     disk.Dir
	perl    *perl.Route // may be nil
	records records
	lives   lives

	mu      sync.Mutex
	own     *ownership        // nil: this handle has not become the owner
	entries map[*Entry]func() // the clients connected through this handle, and how each is abandoned
	wake    chan struct{}     // closed, and replaced, when the list may have changed
	watch   *watch
	untold  error // a notice that nobody was there to take
	debts   []debt
	// reminded says that a reminder is on its way, which holds paying.
	reminded bool
	paying   sync.Mutex
	ruin     *ruin // nil unless an Unspawn is under way, or failed amid
	done     chan struct{}
	closed   bool

	listing sync.Mutex // held while the list is made
	last    []protocol.Peer
	rev     uint64
}

// Route is where the store is, exactly as it was given to Spawn.
func (r *Roster) Route() string { return r.route }

// Settings are those recorded in the store.
func (r *Roster) Settings() protocol.Settings { return r.head.Settings }

// Perl is the foreign side of the route; nil where there is none.
func (r *Roster) Perl() *perl.Route { return r.perl }

// FS is what the store's files are reached through.
func (r *Roster) FS() disk.FS { return r.kind.fs() }

// Path is that of something below Dot.
func (r *Roster) Path(elem ...string) string {
	return filepath.Join(append([]string{r.route, Dot}, elem...)...)
}

// Box is the directory of the mailbox with this key. The protocol makes and
// removes it.
func (r *Roster) Box(key string) string { return r.Path("box", key) }

// Done is closed when the handle is.
func (r *Roster) Done() <-chan struct{} { return r.done }

// standing says whether the store of this handle is still the one at its
// route: ErrNoStore if it was unspawned.
func (r *Roster) standing() error {
	select {
	case <-r.done:
		return fmt.Errorf("handle: %w", protocol.ErrClosed)
	default:
	}
	info, err := os.Lstat(r.Path())
	if err == nil && os.SameFile(info, r.info) {
		return nil
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: that of %s was unspawned", protocol.ErrNoStore, r.route)
	}
	return err
}

// Locked calls f with the store's lock held: nobody enters, leaves or unspawns
// meanwhile, in any process. ErrNoStore, and no call, if it was unspawned.
func (r *Roster) Locked(ctx context.Context, f func() error) error {
	if err := r.standing(); err != nil {
		return err
	}
	lock, err := filelock.Lock(ctx, r.Path("lock"))
	if errors.Is(err, fs.ErrNotExist) {
		if gone := r.standing(); gone != nil {
			return gone
		}
	}
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := r.standing(); err != nil {
		return err
	}
	return f()
}

// fail is Kind.fail, which also tells a file that is missing from a store that
// was unspawned under our hands.
func (r *Roster) fail(ctx context.Context, op, peer string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		if gone := r.standing(); gone != nil {
			err = gone
		}
	}
	return r.kind.fail(ctx, op, peer, err)
}

// patience bounds how long a handle that closes waits for the store's lock,
// which a process that was stopped may hold.
const patience = 30 * time.Second

// Close drops the handle. Clients that are still connected through it are left
// as a crash would leave them, and an owned store loses its owner.
func (r *Roster) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	entries := r.entries
	r.entries = nil
	w := r.watch
	r.watch = nil
	r.mu.Unlock()
	for _, abandon := range entries {
		abandon()
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, fmt.Errorf("the lock of %s was not free for %v", r.route, patience))
	defer cancel()
	err := r.disown(ctx)
	r.paying.Lock() // what a reminder has in hand is owed as well
	defer r.paying.Unlock()
	if r.owes() {
		_ = r.Locked(ctx, func() error { r.settle(); return nil })
	}
	if errors.Is(err, protocol.ErrNoStore) {
		err = nil
	}
	err = errors.Join(err, r.setOwnership(nil))
	close(r.done)
	w.close()
	r.lives.close()
	return r.kind.fail(context.Background(), "close", "", errors.Join(err, r.closeDirs()))
}

func (r *Roster) closeDirs() error {
	return errors.Join(r.dot.Close(), r.records.close())
}
