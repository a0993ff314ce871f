// Package bbolt keeps the messages of each client in a bbolt database of its
// own: the durable protocol, in which every acceptance is a transaction.
//
// # Route
//
// A route is an absolute directory. All that is in it lies below .ipcmgr; an
// empty route is a temporary directory below $XDG_RUNTIME_DIR/ipcmgr, or a
// directory of the user's below the system's temporary one. A client's mailbox
// is the directory .ipcmgr/box/KEY with the database in the file messages.
// That is an ordinary bbolt file: bundles of numbered frames in the bucket
// messages. The file marks beside it has words that processes share.
//
// # Delivery
//
// Accepted means committed, and with Sync that the commit is on disk. A batch
// is one transaction, and Delivers of one client to one peer that wait for the
// same file share one. Order is the order of commits. Fetch copies messages out
// of the file. Ack is no transaction: it writes receipts, a word for each run of
// messages, into the marks, and with Sync puts these on disk before it returns.
// What has a receipt is deleted by a later commit of whoever commits, for many
// messages at a time, and by the holder where it has no room for more receipts.
//
// Bbolt allows one process at a time. Two locks beside the file make a
// turnstile that hands it from one to the next, in order and as soon as a
// context allows; who uses a file at a rate keeps it open until another one
// wants it, and then for two milliseconds in all if it is at work. A sender rings
// the reader's bell before it commits, while it holds the file: the reader
// waits for the file then, so a sender that is killed in between has not left a
// message that nobody is told of.
//
// # Peers
//
// The records of the clients, and whether their processes live, are those of
// any store in a directory. Delivery.From is empty: who may write the file is
// the same user, and nothing more is proven.
//
// # Limits
//
// A mailbox that has reached MaxPending or MaxBytes holds its senders up. Its
// file grows with what it holds at a time; one that has become empty and has
// more than 4 MiB is replaced by a small one. A client uses a few descriptors
// for its own mailbox, and for each peer that it sends to at most one for the
// bell and one for the file.
//
// A Deliver that is not to wait, as TrySend asks for, does not wait for room; but
// for the file it waits as every operation does, until its context ends. A process
// that is stopped while it has the file keeps all others waiting.
//
// # Crash
//
// A process that is killed loses nothing that it or others have committed, and
// the file it held is free at once. What it had fetched and not acknowledged
// comes again, marked: how far it had read is in a mapped word, on disk too
// with Sync, before Fetch returns. Where these words are lost, all comes
// marked; where a client's record is, its mailbox is taken up as that of one
// that crashed, with a Notice. A file that is not what was written (a power cut
// without Sync may do that, or somebody's hand) is set aside in
// .ipcmgr/corrupt/KEY with a Notice, and the mailbox works on with an empty one.
// Pages whose references form a circle are found at Connect only.
package bbolt

import (
	"context"

	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

const name = "bbolt"

func init() { protocol.Register(Protocol{}) }

// Protocol is the protocol "bbolt".
type Protocol struct{}

// Name is "bbolt".
func (Protocol) Name() string { return name }

// Features says that all is kept, on disk if that is asked for.
func (Protocol) Features() protocol.Features {
	return protocol.Features{Suspends: true, Redelivers: true, Syncs: true}
}

// Viable is always nil: what a route needs is seen when there is one.
func (Protocol) Viable() error { return nil }

var kind = roster.Kind{Protocol: name}

// Spawn makes a store in a directory.
func (Protocol) Spawn(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	return handle(kind.Spawn(ctx, route, s))
}

// Open gives a handle on the store in a directory.
func (Protocol) Open(ctx context.Context, route string) (protocol.Store, error) {
	return handle(kind.Open(ctx, route))
}

// CheckRoute says why a route cannot be a directory's, or nil.
func (Protocol) CheckRoute(route string) error { return roster.CheckRoute(route) }

// Collect removes dead temporary stores.
func (Protocol) Collect(ctx context.Context) ([]string, error) { return kind.Collect(ctx) }

func handle(r *roster.Roster, err error) (protocol.Store, error) {
	if err != nil {
		return nil, err
	}
	return &store{r}, nil
}

func failed(op, peer string, err error) error {
	if err == nil {
		return nil
	}
	return &protocol.Error{Op: op, Protocol: name, Peer: peer, Err: err}
}
