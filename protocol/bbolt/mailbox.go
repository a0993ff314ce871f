package bbolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ipcmgr/ipcmgr/internal/bell"
	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// mailbox is one connected client.
type mailbox struct {
	store  *store
	entry  *roster.Entry
	id     string
	notice func(error)

	own    *file
	keeper *gate.Keeper
	lobby  *gate.Lobby
	call   *bell.Bell // rung by who wants a file that this client keeps
	heard  sync.WaitGroup

	life   context.Context // ended by Leave, with ErrClosed
	end    context.CancelCauseFunc
	calls  sync.WaitGroup
	sealed atomic.Bool

	mu      sync.Mutex
	closed  bool
	peers   map[string]*peer
	out     map[uint64]int // fetched and not acknowledged: message → bytes
	acking  int            // messages in rounds, which are not in out
	round   *round         // the next one
	current *round         // the one under way, or nil

	recording chan struct{} // has a token while somebody writes receipts

	// What follows is used by one Fetch at a time, and by Leave.
	next    uint64          // where to read on
	looked  uint64          // up to here there is nothing more to read
	swollen bool            // the file was large when it was looked at
	line    []uint64        // put back by a predecessor and not fetched yet, in order
	back    map[uint64]bool // put back by a predecessor, fetched or not
	doubted uint64          // up to here a holder that crashed may have handed out
	handed  uint64          // up to here this holder has handed out
}

func newMailbox(s *store, o protocol.ConnectOptions) *mailbox {
	m := &mailbox{
		store:     s,
		id:        o.ID,
		notice:    func(error) {},
		peers:     map[string]*peer{},
		out:       map[uint64]int{},
		next:      1,
		round:     newRound(),
		recording: make(chan struct{}, 1),
	}
	if o.Notice != nil {
		m.notice = func(err error) { o.Notice(failed("keep", o.ID, err)) }
	}
	m.life, m.end = context.WithCancelCause(context.Background())
	return m
}

// enter takes the mailbox up, or makes it where there is none. It runs under the
// store's lock.
func (m *mailbox) enter(ctx context.Context, e *roster.Entry) error {
	box := m.store.Box(e.Key)
	lost, err := mendBox(box)
	if errors.Is(err, fs.ErrNotExist) {
		err = m.store.at(func(s *site) error { return s.make(ctx, e.Key) })
	}
	if err == nil {
		err = m.open(box, e.Key)
	}
	if err == nil {
		err = m.own.inspect(ctx)
	}
	if err == nil {
		err = again(func() error { return m.takeUp(ctx, e, lost) })
	}
	return err
}

func (m *mailbox) open(box, key string) (err error) {
	if m.call, err = bell.Open(filepath.Join(box, callName)); err != nil {
		return err
	}
	m.heard.Go(m.hear)
	if m.keeper, err = gate.Keep(box, m.store.Path("box")); err != nil {
		return err
	}
	if m.lobby, err = gate.OpenLobby(box, key); err != nil {
		return err
	}
	own, err := m.store.file(m.life, key, key, m.notice)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own = own
	return nil
}

// takeUp reads what the mailbox holds, and opens its gate. What a predecessor
// may have handed out is known only if it has not lost its words.
func (m *mailbox) takeUp(ctx context.Context, e *roster.Entry, lost bool) error {
	marks := m.own.marks
	acked := marks.acknowledged()
	var count, bytes int
	err := m.own.do(&job{ctx: ctx, writes: len(acked) > 0, work: func(l *ledger) error {
		count, bytes = l.count(acked)
		m.keeper.Recount(count, bytes)
		m.line = l.line(acked)
		l.forget(acked)
		marks.Store(tail, l.last())
		if lost {
			marks.Store(doubted, l.last())
		} else {
			marks.Store(doubted, max(marks.Load(doubted), marks.Load(handed)))
		}
		return nil
	}})
	if err != nil {
		return err
	}
	if count > 0 && e.Found == protocol.Gone {
		m.notice(fmt.Errorf("nothing says whose it was: the %d messages in the mailbox are kept", count))
		e.Found = protocol.Crashed
	}
	marks.Store(receipts, 0)
	m.back = map[uint64]bool{}
	for _, n := range m.line {
		m.back[n] = true
	}
	m.doubted, m.handed = marks.Load(doubted), marks.Load(handed)
	m.keeper.Open(e.Epoch)
	if m.own.durable {
		return errors.Join(marks.sync(), m.keeper.Sync())
	}
	return nil
}

// hear hands files over when they are asked for.
func (m *mailbox) hear() {
	for m.call.Wait(context.Background()) == nil {
		for _, f := range m.files() {
			f.called()
		}
	}
}

func (m *mailbox) files() (fs []*file) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.peers {
		fs = append(fs, p.file)
	}
	if m.own != nil {
		fs = append(fs, m.own)
	}
	return fs
}

// begin starts a call, at the end of which the caller calls m.calls.Done. Leave
// waits for that, and ends what the call waits for.
func (m *mailbox) begin(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return protocol.ErrClosed
	}
	m.calls.Add(1)
	return nil
}

func (m *mailbox) Epoch() uint64         { return m.entry.Epoch }
func (m *mailbox) Found() protocol.State { return m.entry.Found }

func (m *mailbox) Left() (attrs map[string]string, stats []byte) {
	return maps.Clone(m.entry.Attrs), slices.Clone(m.entry.Stats)
}

func (m *mailbox) Publish(ctx context.Context, attrs map[string]string, stats []byte) error {
	if err := m.begin(ctx); err != nil {
		return failed("publish", m.id, err)
	}
	defer m.calls.Done()
	ctx, stop := either(ctx, m.life)
	defer stop()
	return m.entry.Publish(ctx, attrs, stats)
}

// again does something once more if it came upon a damaged file, which has been
// replaced.
func again(do func() error) error {
	err := do()
	if errors.Is(err, errDamaged) {
		err = do()
	}
	return err
}

// limit is what a setting allows: 0 is no limit.
func limit(n int) int {
	if n <= 0 {
		return math.MaxInt
	}
	return n
}
