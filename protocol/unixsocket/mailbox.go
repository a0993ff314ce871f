//go:build unix

package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/internal/dirwatch"
	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Mailbox is one connected client.
type Mailbox struct {
	store   *store
	id      string
	box     string // our directory for it
	entry   *roster.Entry
	options protocol.ConnectOptions
	keeper  *gate.Keeper
	lobby   *gate.Lobby
	poller  *poller
	watcher *dirwatch.Watcher // of the socket's path

	frameLimit, msgLimit, byteLimit int

	over    context.Context // ends with ErrClosed when the client leaves, with ErrNoStore when there is no store
	end     context.CancelCauseFunc
	leaving atomic.Bool // Leave has begun
	closed  atomic.Bool
	closing sync.RWMutex   // held shared by calls that need what free frees, but not the turn
	tasks   sync.WaitGroup // the goroutines of the client
	inbox   inbox

	// turn is held by who reads the sockets: Fetch, the pump, or a goodbye.
	turn    chan struct{}
	wanted  atomic.Int32 // how many wait for the turn
	pumping chan struct{}
	blocked atomic.Int32 // Delivers that wait, during which the pump may not rest
	timed   atomic.Bool  // rest is running
	fetched atomic.Bool  // Fetch was called since rest was set
	rest    *time.Timer  // until the pump takes the turn
	// Below, what belongs to who has the turn.
	listener *listener
	slab     *slab
	cuts     [][]byte
	last     *conn // the one that gave something last
	looks    uint  // at it
	quiet    bool  // there was nothing when Fetch last waited, as there will be next time
	drifted  bool  // a connection was closed with messages that are counted
	drained  bool  // sealed, and all that was accepted is in the inbox
	strange  rare  // what strangers do
	watched  <-chan struct{}
	unwatch  func() bool // of the context whose Done is watched

	mu        sync.Mutex
	conns     map[int]*conn // by descriptor
	serial    int           // of the newest
	friends   map[string]*friend
	links     map[string]*link
	strangers []*conn // accepted, and not greeted yet; oldest first
	unwatched []*conn // those that the poller could not be told of
	paused    bool    // resume is about to come
	shortage  rare    // of descriptors, and the like
	sealed    bool
}

// friend is a peer that there is or was a connection with.
type friend struct {
	id      string
	conns   []*conn // oldest first; guarded by the mailbox's mu
	current *conn   // the one that it sent on last; belongs to who has the turn
}

func connect(ctx context.Context, s *store, o protocol.ConnectOptions) (_ *Mailbox, err error) {
	set := s.Settings()
	m := &Mailbox{
		store: s, id: o.ID, options: o,
		frameLimit: limit(set.MaxFrame, math.MaxInt32),
		msgLimit:   limit(set.MaxPending, math.MaxInt), byteLimit: limit(set.MaxBytes, math.MaxInt),
		turn: make(chan struct{}, 1), pumping: make(chan struct{}, 1),
		conns: map[int]*conn{}, friends: map[string]*friend{}, links: map[string]*link{},
	}
	m.over, m.end = context.WithCancelCause(context.Background())
	m.rest = time.AfterFunc(math.MaxInt64, m.rested)
	defer func() {
		if err != nil {
			m.dismantle()
		}
	}()
	m.entry, err = s.Enter(ctx, o, func(e *roster.Entry) error { return m.setup(ctx, e) })
	if err != nil {
		return nil, err
	}
	m.tasks.Go(m.pump)
	m.tasks.Go(m.guard)
	m.kick()
	return m, nil
}

// limit is a setting, or none if it is 0.
func limit(set, none int) int {
	if set <= 0 {
		return none
	}
	return min(set, none)
}

// setup makes the mailbox: what stands for it in the store and here. The store
// is locked.
func (m *Mailbox) setup(ctx context.Context, e *roster.Entry) (err error) {
	m.box = m.store.Box(e.Key)
	defer func() {
		if err != nil {
			err = errors.Join(err, m.store.RemoveBox(ctx, e.Key))
		}
	}()
	if err := makeBox(m.box); err != nil {
		return err
	}
	if err := gate.Make(m.box); err != nil {
		return err
	}
	if err := noteHolder(m.store, e.Key); err != nil {
		return err
	}
	if m.keeper, err = gate.Keep(m.box, m.store.Path("box")); err != nil {
		return err
	}
	m.keeper.Recount(0, 0) // what a crashed holder had not read is lost with it
	m.keeper.Open(e.Epoch)
	if m.lobby, err = gate.OpenLobby(m.box, e.Key); err != nil {
		return err
	}
	if m.poller, err = newPoller(); err != nil {
		return err
	}
	path, err := m.address(m.id)
	if err != nil {
		return err
	}
	if err := clearStale(path); err != nil {
		return err
	}
	if m.watcher, err = dirwatch.WatchName(m.store.Route(), filepath.Base(path), m.notice); err != nil {
		return err
	}
	if m.listener, err = listen(m.store.Path("tmp"), path); err != nil {
		return err
	}
	return m.poller.add(m.listener.fd)
}

// makeBox makes a directory of mode 0700 under any umask, unless it stands.
func makeBox(box string) error {
	err := os.Mkdir(box, 0o700)
	if err == nil {
		return os.Chmod(box, 0o700)
	}
	if info, stat := os.Lstat(box); stat == nil && !info.IsDir() {
		return fmt.Errorf("%s is in the way and not a directory (%v): remove it", box, info.Mode())
	}
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

// dismantle undoes a setup that led to nothing.
func (m *Mailbox) dismantle() {
	if m.listener != nil {
		m.listener.unlink()
	}
	m.closed.Store(true)
	m.end(protocol.ErrClosed)
	m.free()
}

// address is the path of a client's socket.
func (m *Mailbox) address(id string) (string, error) {
	name, err := m.store.Perl().Name(id)
	if err != nil {
		return "", err
	}
	return m.store.Route() + "/" + name, nil
}

func (m *Mailbox) notice(err error) {
	if m.options.Notice != nil && err != nil {
		m.options.Notice(fmt.Errorf("%s: %s: %w", Name, m.id, err))
	}
}

// Epoch counts the Connects of this id, from 1.
func (m *Mailbox) Epoch() uint64 { return m.entry.Epoch }

// Found says what stood under the id before this Connect.
func (m *Mailbox) Found() protocol.State { return m.entry.Found }

// Left is what stood on the id's record before this Connect.
func (m *Mailbox) Left() (map[string]string, []byte) { return m.entry.Attrs, m.entry.Stats }

// Publish replaces what others see of this client.
func (m *Mailbox) Publish(ctx context.Context, attrs map[string]string, stats []byte) error {
	return m.entry.Publish(ctx, attrs, stats)
}

// Ack forgets messages.
func (m *Mailbox) Ack(ctx context.Context, ds []protocol.Delivery) error {
	if err := m.usable(ctx); err != nil {
		return failed("acknowledge", "", err)
	}
	m.settle(ds)
	return nil
}

// Reject writes a message, with the reason, to the store's directory of corrupt
// ones.
func (m *Mailbox) Reject(ctx context.Context, d protocol.Delivery, reason error) error {
	err := m.usable(ctx)
	if data, ok := m.inbox.data(d.Tag); ok && err == nil {
		aside := corrupt.Place{FS: m.store.FS(), Dir: m.store.Path("corrupt", m.entry.Key)}
		err = aside.Set("message", data, reason)
		if errors.Is(err, corrupt.ErrFull) {
			m.notice(err)
			err = nil
		}
	}
	if err != nil {
		return failed("reject", d.From, err)
	}
	m.settle([]protocol.Delivery{d})
	return nil
}

func (m *Mailbox) settle(ds []protocol.Delivery) {
	msgs, bytes := m.inbox.settle(ds)
	if msgs == 0 {
		return
	}
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.closed.Load() {
		return
	}
	m.keeper.Freed(msgs, bytes)
	for _, c := range m.inbox.revive(m.msgLimit, m.byteLimit) {
		m.watch(c)
	}
}

// usable says why no call can be made, or nil.
func (m *Mailbox) usable(ctx context.Context) error {
	switch {
	case m.closed.Load():
		return protocol.ErrClosed
	case m.over.Err() != nil:
		return context.Cause(m.over)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return nil
}

// during gives a context that ends with ctx, and when the client's life does.
func (m *Mailbox) during(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(m.over, func() { cancel(context.Cause(m.over)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}
