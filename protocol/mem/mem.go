// Package mem keeps stores in the memory of one process. It is the reference
// for the protocol contract, and what tests, examples and virtual time use: all
// of it works inside a testing/synctest bubble.
//
// # Route
//
// A route is any name; it means something in this process only. An empty one
// picks a name that no store has. A store lives until Unspawn, whether or not a
// handle on it is open.
//
// # Delivery
//
// Accepted means queued. Deliver copies the frames of a batch once, and Fetch
// hands out those copies. Delivery.From is proven: it is the client whose
// Deliver it was. Reject keeps the last thousand messages of a store that were
// set aside, for Rejected to list.
//
// # Peers
//
// Every peer has this process's pid. Changes are seen at once.
//
// # Limits
//
// A mailbox that has reached MaxPending or MaxBytes blocks its senders, who go
// on in the order in which they came. A limit of zero is none. Sync is refused.
//
// # Crash
//
// Clients do not outlive the process, so nothing is kept when it dies. Crash
// makes the holder of one mailbox look killed, and closing a handle does so to
// each client that is still connected through it; then everything
// unacknowledged is kept, and what was fetched comes again, marked.
package mem

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/ipcmgr/ipcmgr/protocol"
)

const name = "mem"

func init() { protocol.Register(Protocol{}) }

// Protocol is the protocol "mem". Its values are all the same: the stores
// belong to the process.
type Protocol struct{}

// Name is "mem".
func (Protocol) Name() string { return name }

// Features says that all is kept as long as the process lives.
func (Protocol) Features() protocol.Features {
	return protocol.Features{Suspends: true, Redelivers: true, Proves: true}
}

// Viable is always nil.
func (Protocol) Viable() error { return nil }

// The stores of this process. The lock is taken before a store's own.
var (
	tableMu sync.Mutex
	table   = map[string]*store{}
	fresh   uint64 // how many names were picked
)

// Spawn makes a store under a name. It never blocks.
func (Protocol) Spawn(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if s.Sync {
		return nil, failed("spawn", "", fmt.Errorf("memory does not survive a power cut: sync: %w", errors.ErrUnsupported))
	}
	tableMu.Lock()
	defer tableMu.Unlock()
	for route == "" {
		fresh++
		pick := "temporary-" + strconv.FormatUint(fresh, 10)
		if table[pick] == nil {
			route = pick
		}
	}
	if table[route] != nil {
		return nil, failed("spawn", "", fmt.Errorf("%w: %q: open it, or choose another route", protocol.ErrStoreExists, route))
	}
	st := newStore(route, s)
	table[route] = st
	h := newHandle(st)
	st.owner = h
	return h, nil
}

// Open gives a handle on a store of this process. It never blocks.
func (Protocol) Open(ctx context.Context, route string) (protocol.Store, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	st, err := find(route)
	if err != nil {
		return nil, failed("open", "", err)
	}
	return newHandle(st), nil
}

// Collect has nothing to do: what outlives its users here is memory, which goes
// with the process.
func (Protocol) Collect(ctx context.Context) ([]string, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, nil
}

// Crash makes the holder of a mailbox look killed, for tests of what others do
// then: its calls give ErrClosed, its peers see it crashed, and what it had
// fetched and not acknowledged is fetched again, marked, by whoever takes the
// mailbox up. ErrNoStore; ErrNoPeer when nobody holds it.
func Crash(route, id string) error {
	st, err := find(route)
	if err != nil {
		return failed("crash", id, err)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	b := st.mailboxes[id]
	if b == nil || b.holder == nil {
		return failed("crash", id, fmt.Errorf("%w: nobody is connected under this id", protocol.ErrNoPeer))
	}
	b.crash()
	return nil
}

// Crash is the function Crash, for those who found the protocol by its name.
func (Protocol) Crash(route, id string) error { return Crash(route, id) }

// Rejection is a message that was set aside.
type Rejection struct {
	ID     string // whose mailbox it was in
	From   string
	Data   []byte
	Reason error
}

// Rejected lists what the clients of a store have set aside, oldest first.
func Rejected(route string) ([]Rejection, error) {
	st, err := find(route)
	if err != nil {
		return nil, failed("list rejected", "", err)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return append([]Rejection(nil), st.rejected...), nil
}

func find(route string) (*store, error) {
	tableMu.Lock()
	defer tableMu.Unlock()
	if st := table[route]; st != nil {
		return st, nil
	}
	return nil, fmt.Errorf("%w: %q: a route of mem is known only in the process that spawned it", protocol.ErrNoStore, route)
}

func failed(op, peer string, err error) error {
	return &protocol.Error{Op: op, Protocol: name, Peer: peer, Err: err}
}
