// Package fsqueue keeps messages as files in a directory: the universal
// protocol, whose store a person looks into with ls and cat, and which Perl
// programs with IPC::Manager share.
//
// # Route
//
// A directory, used verbatim; without one, a directory of its own below the
// user's runtime directory. What is ours stands in ROUTE/.ipcmgr:
//
//	box/ID/new/     messages, one file for each Deliver
//	box/ID/out/     the same, while a client says goodbye
//	box/ID/draft/   what the client is about to send
//	box/ID/ledger   what was handed out, put back, and acknowledged in part
//	box/ID/gate     how full the mailbox is, and whether it is open
//
// Beside it lies what Perl's MessageFiles has, so that both can use one route:
// for each client a directory ROUTE/ID with its sidecars.
//
// # Delivery
//
// A message is accepted when its file is renamed into the receiver's new/; with
// Sync, when the file was put on disk before and the directory after that. All
// frames of one Deliver are one file. Its name carries the sender's epoch and a
// number without gaps, which is the order; see label.go. A file is read at once,
// and removed when all of its messages are acknowledged: its memory is used
// again then. What is handed out is written to the ledger first, so that a later
// holder can mark it.
//
// A full mailbox makes senders wait, and a sleeping reader is woken, through
// the mailbox's gate (internal/gate): both cost nothing while nobody waits.
//
// # Peers
//
// Who sent a message is not proven: all clients are one user's. To a Perl peer,
// each message is a file of its own in the directory that Perl reads, and
// nothing limits how many lie there. What Perl writes is taken in as soon as it
// is seen, ordered by the time that is in the messages.
//
// # Limits
//
// A file holds 8 MiB of messages, or one message. Each peer that a client sends
// to costs it two file descriptors and a page, for 128 peers at most; each
// client one or two directory watches of the one inotify instance that a
// process has. Without inotify, Perl's messages are looked for every 100 ms,
// which a Notice tells.
//
// # Crash
//
// Nothing that was accepted is lost when any process is killed, and nothing
// that was acknowledged comes again. Both hold for a power cut with Sync only,
// and then what was handed out may come again without a mark. A message that
// Perl wrote to a client that had crashed is lost if another Perl program
// cleans up before the client is back. Files that are no messages are set aside
// in .ipcmgr/corrupt, each with the reason.
package fsqueue

import (
	"context"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

const name = "fsqueue"

func init() { protocol.Register(Protocol{}) }

// Protocol keeps messages as files. Its zero value is ready to use.
type Protocol struct{}

// Name is "fsqueue".
func (Protocol) Name() string { return name }

// Features says that all is kept, and that it can be on disk.
func (Protocol) Features() protocol.Features {
	return protocol.Features{Suspends: true, Redelivers: true, Syncs: true}
}

// Viable returns nil: there are files everywhere.
func (Protocol) Viable() error { return nil }

// Spawn makes a store in a directory.
func (Protocol) Spawn(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	return newStore(kind(disk.Real).Spawn(ctx, route, s))
}

// Open gives a handle on a store.
func (Protocol) Open(ctx context.Context, route string) (protocol.Store, error) {
	return newStore(kind(disk.Real).Open(ctx, route))
}

// Join implements protocol.Joiner: the route may be that of a Perl program.
func (Protocol) Join(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	return newStore(kind(disk.Real).Join(ctx, route, s))
}

// CheckRoute says why a route cannot be a directory's, or nil.
func (Protocol) CheckRoute(route string) error { return roster.CheckRoute(route) }

// Collect removes dead temporary stores.
func (Protocol) Collect(ctx context.Context) ([]string, error) {
	return kind(disk.Real).Collect(ctx)
}

func kind(fsys disk.FS) *roster.Kind {
	return &roster.Kind{Protocol: name, Perl: foreignRoute, FS: fsys}
}
