// Package unixsocket keeps messages in the buffers of stream sockets and in the
// memory of those who receive them. It is for live messaging: nothing is
// written to a disk, a message needs two system calls, and a peer's death is
// seen at once. Perl's IPC::Manager::Client::ConnectionUnix can share a store.
//
// # Route
//
// A store is a directory. In it each client has one listening socket, named as
// the foreign format names it: its id, or a hash of an id that does not fit. A
// socket's address is short, so a route may have 60 bytes at most. What is of no
// concern to foreign programs lies below the directory .ipcmgr.
//
// # Delivery
//
// A frame is its length, four bytes big endian, and as many bytes. Who dials
// first sends a hello, a frame that says who it is; then frames go both ways. A
// sender keeps to one connection with a peer until that ends. A frame is
// accepted when all of it is in the kernel: from then on it arrives, unless its
// receiver is killed.
//
// The goroutine in Fetch reads the sockets itself. While none is, a goroutine of
// the client takes in what arrives, up to the limits, so that two clients may
// send to each other before they read. Acknowledging frees memory and makes room
// for senders; there is nothing to redeliver.
//
// # Peers
//
// Delivery.From is proven: the kernel tells which process dialled, and a hello
// may not name a client that lives in another one. It may name one that lived in
// this process before: a message outlives its sender.
//
// # Limits
//
// The settings hold between clients of ours by counts in shared memory. What
// foreign programs send is counted when it is taken in, and when that is too
// much, their connections are not read. A frame that is too large, or lost
// framing, closes the connection before memory is spent. Memory follows what has
// arrived, whatever was announced, and connections without a hello are limited
// in number.
//
// # Crash
//
// A mailbox goes with its process. Senders get ErrPeerCrashed; a frame that a
// killed sender had written only in part is dropped with a notice. Whoever takes
// up a crashed client's id finds the mailbox empty.
package unixsocket

import (
	"context"
	"errors"

	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Name is what a configuration calls the protocol.
const Name = "unixsocket"

// Protocol is stores of one stream socket per client.
type Protocol struct{}

var _ protocol.Joiner = Protocol{}

func init() { protocol.Register(Protocol{}) }

// Name returns the name under which the protocol is registered.
func (Protocol) Name() string { return Name }

// Features says that only the sender is proven: a mailbox lives in its process.
func (Protocol) Features() protocol.Features { return protocol.Features{Proves: proves} }

// Viable says why the protocol cannot work on this system, or nil.
func (Protocol) Viable() error { return viable() }

// Spawn makes a store in the directory route, which is made if need be.
func (Protocol) Spawn(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	return spawn(ctx, route, s)
}

// Open gives a handle on the store in the directory route.
func (Protocol) Open(ctx context.Context, route string) (protocol.Store, error) {
	return open(ctx, route)
}

// Join opens the store in a directory that foreign programs may have made.
func (Protocol) Join(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	return join(ctx, route, s)
}

// CheckRoute says why a route cannot be a directory's, or holds no sockets, or
// nil.
func (Protocol) CheckRoute(route string) error {
	if err := roster.CheckRoute(route); err != nil {
		return err
	}
	return checkRoute(route)
}

// Collect removes the temporary stores whose owner and clients are all dead.
func (Protocol) Collect(ctx context.Context) ([]string, error) { return collect(ctx) }

// failed says what could not be done, unless the roster has said it.
func failed(op, peer string, err error) error {
	if err == nil {
		return nil // before told, which costs an allocation
	}
	var told *protocol.Error
	if errors.As(err, &told) {
		return err
	}
	return &protocol.Error{Op: op, Protocol: Name, Peer: peer, Err: err}
}
