// Package protocol is the contract between ipcmgr and the ways of keeping
// messages. A protocol moves opaque frames between named mailboxes. It never
// retries, logs, reconnects or decodes: building messages, limits, statistics,
// acknowledging in batches, waiting for peers and closing in order are the
// same for all protocols and are done once, above, by package ipcmgr.
//
// A program that uses messages wants package ipcmgr. This package is for those
// who write a protocol; protocoltest is the suite that a protocol passes.
package protocol

import (
	"context"
	"strconv"
	"time"
)

// Protocol is one kind of store. Its methods may be called concurrently.
type Protocol interface {
	// Name is what a configuration calls it, in lower case.
	Name() string
	Features() Features
	// Viable says why the protocol cannot work on this machine, or nil.
	Viable() error
	// Spawn makes an empty store at route and returns a handle that owns it.
	// The store appears whole or not at all, with its settings recorded in it:
	// each later Open reads them from there. An empty route is a temporary
	// place that the protocol picks. ErrStoreExists when the route holds a
	// store, whoever made it.
	Spawn(ctx context.Context, route string, s Settings) (Store, error)
	// Open gives a handle on a store without owning it and without becoming a
	// client of it. ErrNoStore, ErrVersion.
	Open(ctx context.Context, route string) (Store, error)
	// Collect removes the dead temporary stores of this protocol and returns
	// their routes. It signals nobody and touches nothing that is alive.
	Collect(ctx context.Context) ([]string, error)
}

// Joiner is a Protocol whose stores foreign programs make too. Join opens such
// a store, in which nothing of ours may stand yet; s is used if so.
type Joiner interface {
	Join(ctx context.Context, route string, s Settings) (Store, error)
}

// RouteChecker is a Protocol that can tell from its text alone that a route, not
// empty, is none of its own; Spawn and Open refuse such a route too.
type RouteChecker interface {
	CheckRoute(route string) error
}

// Features is what a protocol promises. The conformance suite proves each one
// that is true, and that each one that is false is refused with an error that
// matches errors.ErrUnsupported.
type Features struct {
	Suspends   bool // a mailbox is kept while nobody holds it
	Redelivers bool // what was fetched and not acknowledged outlives a holder that is killed
	Syncs      bool // Settings.Sync is honoured
	Proves     bool // Delivery.From is proven, not claimed
	Remote     bool // peers may be on other machines: a pid means nothing here
	MaxFrame   int  // the largest frame in bytes; 0 = no limit of its own
}

// Settings belong to a store, not to a process.
type Settings struct {
	Serializer string `json:"serializer"`
	MaxFrame   int    `json:"max_frame"`   // bytes
	MaxPending int    `json:"max_pending"` // unacknowledged messages a mailbox holds; soft: one batch per sender may exceed it
	MaxBytes   int    `json:"max_bytes"`   // unacknowledged bytes a mailbox holds, at least MaxFrame; soft likewise
	Sync       bool   `json:"sync"`        // Deliver returns when the frames would survive a power cut
	Temporary  bool   `json:"temporary"`   // dead once its owner and all its clients are
}

// Store is a handle on one store. Its methods may be called concurrently.
type Store interface {
	// Route is where the store is, as Open takes it.
	Route() string
	Settings() Settings
	// Connect makes a client of the store; Mode says what may stand under its
	// id already. ErrPeerActive, ErrPeerSuspended, ErrPeerCrashed, ErrNoPeer,
	// ErrEnding.
	Connect(ctx context.Context, o ConnectOptions) (Mailbox, error)
	// Peers lists every mailbox of the store, ordered by id; rev names this
	// state of the list. A client that has left for good is not listed.
	Peers(ctx context.Context) (peers []Peer, rev uint64, err error)
	// Changed blocks until Peers of this handle would tell more than it told
	// with rev. It may return early; it must not miss a change.
	Changed(ctx context.Context, rev uint64) error
	// Stats gives what each client, present or gone, last left with Publish or
	// Leave.
	Stats(ctx context.Context) (map[string][]byte, error)
	// Unread counts the messages that a mailbox keeps unacknowledged; 0 where
	// nothing is kept.
	Unread(ctx context.Context, id string) (int, error)
	// Own makes this handle the owner. ErrOwned while another owner lives,
	// unless force takes it away. A store that another owner was ending is open
	// again.
	Own(ctx context.Context, force bool) error
	// Owned says whether this handle is the owner, and still is.
	Owned() bool
	// Disown leaves the store without an owner.
	Disown(ctx context.Context) error
	// End makes every further Connect fail with ErrEnding.
	End(ctx context.Context) error
	// Unspawn removes what Spawn and the clients made, and nothing else.
	Unspawn(ctx context.Context) error
	// Close drops the handle; mailboxes that are still connected are left as
	// a crash would leave them. An owned store loses its owner.
	Close() error
}

// Mode says what Connect does about what stands under its id.
type Mode int

// The modes.
const (
	New       Mode = iota // the id must be free
	Reconnect             // the id must be suspended or crashed; its mailbox is taken up
	Resume                // Reconnect where there is something to take up, else New
)

// ConnectOptions are those of one Connect.
type ConnectOptions struct {
	ID   string // valid as CheckID has it
	Mode Mode
	// Attrs are what others see of the client from the first moment; nil keeps
	// those of a client that is taken up.
	Attrs map[string]string
	// A stream protocol introduces itself with Hello and asks Who about the
	// other side's: both are in the serializer's form, which a protocol does
	// not know.
	Hello []byte
	Who   func(hello []byte) (id string, err error)
	// Notice takes what the protocol has to tell and cannot return: a fallback
	// to polling, a connection refused, a file set aside. Called on any
	// goroutine; it does not block.
	Notice func(error)
}

// Frame is one message to deliver. Its bytes are the caller's: they are not
// kept, changed, or read after Deliver has returned.
type Frame struct {
	ID   []byte // the message's id: a file's stem where foreign readers expect one
	Data []byte
}

// Delivery is one message fetched. Data may be a view into the store: it is
// valid until the delivery is acknowledged or rejected, or the mailbox left.
type Delivery struct {
	From        string // who delivered it as far as the protocol can prove, else ""
	Data        []byte
	Tag         uint64 // the protocol's own; valid until Ack, Reject or Leave
	Redelivered bool   // a holder that crashed may have handed it out, or one that suspended put it back
}

// Mailbox is one connected client. Deliver, Ack, Reject and Publish may be
// called concurrently with everything; Fetch with everything but itself.
// Every blocking method returns context.Cause(ctx) soon after ctx ends.
type Mailbox interface {
	// Epoch counts the Connects of this id, from 1.
	Epoch() uint64
	// Found says what stood under the id before this Connect: Gone (or 0) when
	// it was free, Suspended or Crashed when its mailbox was taken up.
	Found() State
	// Left is what stood on the id's record before this Connect: the
	// attributes of a client taken up, and the statistics of the id.
	Left() (attrs map[string]string, stats []byte)
	// Deliver gives frames to one peer (which may be the client itself), in
	// order, as one operation, and says how many leading ones are accepted.
	// With wait it blocks while the peer is full, also while that peer is
	// suspended or crashed; without, it returns ErrFull. An error other than
	// ErrUnsure promises that frames[n:] will not arrive. ErrNoPeer,
	// ErrPeerGone (also for a suspension that is overdue), ErrPeerCrashed where
	// a crashed client's mailbox is not kept, ErrFull, ErrUnsure.
	Deliver(ctx context.Context, to string, frames []Frame, wait bool) (n int, err error)
	// Fetch fills ds from the front with at most 1 MiB of messages (more only
	// if the first is larger), each sender's in the order it delivered them.
	// With wait it blocks until there is one; without, 0 means empty. After
	// Seal: io.EOF when all that was accepted has been fetched.
	Fetch(ctx context.Context, ds []Delivery, wait bool) (n int, err error)
	// Ack forgets messages, in any order, as one operation: on record when it
	// returns, and never fetched again, whatever crashes. ds is not kept.
	Ack(ctx context.Context, ds []Delivery) error
	// Reject sets one aside with the reason, where a person finds it.
	Reject(ctx context.Context, d Delivery, reason error) error
	// Publish replaces what others see of this client.
	Publish(ctx context.Context, attrs map[string]string, stats []byte) error
	// Seal makes the mailbox refuse: ErrPeerGone to senders, also to those that
	// wait. What was accepted before is fetched before io.EOF.
	Seal(ctx context.Context) error
	// Leave ends the connection and every call under way, with ErrClosed.
	// Once; a later call gives ErrClosed too. Leaving for good drops what the
	// mailbox still keeps. A context that has ended before, and a Suspend that
	// matches errors.ErrUnsupported, change nothing. Any other error, also that
	// of a context that ends meanwhile, says that the client has left as a crash
	// would have it: peers see it crashed, and Reconnect takes its mailbox up,
	// with what was in it if it was to be suspended.
	Leave(ctx context.Context, d Departure) error
}

// Departure says how a client leaves.
type Departure struct {
	Suspend bool       // its mailbox stays, for a later Reconnect
	Until   time.Time  // by when it means to be back; zero = no deadline
	Back    []Delivery // fetched and put back: fetched again first of their sender's, Redelivered
	Stats   []byte     // as for Publish
	// Fold, if not nil, is for a client without a name of its own: no record
	// of the id remains, and the statistics under Under become what Fold makes
	// of them.
	Fold  func(old []byte) ([]byte, error)
	Under string
}

// State is what a client's peers know of it.
type State int

// The states of a client.
const (
	Active State = iota + 1
	Suspended
	Crashed
	Gone
)

func (s State) String() string {
	switch s {
	case Active:
		return "active"
	case Suspended:
		return "suspended"
	case Crashed:
		return "crashed"
	case Gone:
		return "gone"
	}
	return "unknown"
}

// Peer is one client as others see it.
type Peer struct {
	ID    string
	PID   int    // of the process that holds it, or held it last
	Start uint64 // with PID: which process; 0 = not known (a foreign peer)
	State State
	Since time.Time // when it came into this state, as far as is known
	Until time.Time // of a suspension: when it is overdue; zero = never
	Attrs map[string]string
}

// Overdue says whether the peer is suspended and has missed its deadline.
func (p *Peer) Overdue(now time.Time) bool {
	return p.State == Suspended && !p.Until.IsZero() && now.After(p.Until)
}

type sentinel string

func (s sentinel) Error() string { return string(s) }

// These errors are constants, so that nobody can reassign them. Package ipcmgr
// repeats them under its own name.
const (
	ErrClosed        = sentinel("client is closed")
	ErrEnding        = sentinel("store is ending")
	ErrFull          = sentinel("mailbox is full")
	ErrNoPeer        = sentinel("no such peer")
	ErrNoStore       = sentinel("no such store")
	ErrNotOwner      = sentinel("not the owner of the store")
	ErrOwned         = sentinel("store has an owner that is alive")
	ErrPeerActive    = sentinel("peer is active")
	ErrPeerCrashed   = sentinel("peer crashed")
	ErrPeerGone      = sentinel("peer is gone")
	ErrPeerSuspended = sentinel("peer is suspended")
	ErrStoreExists   = sentinel("store exists")
	ErrTooLarge      = sentinel("message is too large")
	ErrUnsure        = sentinel("may or may not have been accepted")
	ErrVersion       = sentinel("store of another version")
)

// Error says what a protocol could not do, and to which thing.
type Error struct {
	Op       string // the verb: "connect", "deliver", …
	Protocol string
	Peer     string // the client it was done to, or ""
	Err      error
}

func (e *Error) Error() string {
	s := e.Protocol + ": " + e.Op
	if e.Peer != "" {
		s += " " + strconv.Quote(e.Peer)
	}
	return s + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }
