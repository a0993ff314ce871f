// Package shm keeps messages in rings of shared memory: the fast protocol. To
// send is to write into memory that the receiver reads, and a system call is
// made only to wake a receiver that sleeps.
//
// # Route
//
// A directory on tmpfs, used verbatim; without one, a directory of its own in
// the first that is on tmpfs of the user's runtime directory, the system's
// temporary one and /dev/shm. A client's mailbox is the
// directory .ipcmgr/box/KEY:
//
//	rings/   one ring for each connection of a sender, see ring.go
//	marks    which rings have something new, see marks.go
//	gate     how full the mailbox is, whether it is open, who waits
//
// # Delivery
//
// Each pair of clients has a ring of its own, written by one process and read by
// one. A message is accepted when the ring's tail is moved beyond it, and not
// before: a sender that is killed at any instruction leaves a ring that is
// whole. A batch moves the tail once. A ring begins with a page; a sender that
// finds it full goes on in a larger one, and in a small one when that was
// drained, so an idle pair costs little and a message of any size finds room.
//
// What Fetch gives are views into the ring. A record is marked when it is
// acknowledged, and its room is free when all before it are. To acknowledge is a
// store in memory that outlives the processes.
//
// # Peers
//
// Who sent a message is not proven: all clients are one user's.
//
// A sender moves the tail, marks its ring and rings the bell of a reader that
// sleeps. If it is killed in between, the reader learns of its end from the
// kernel and looks again: it watches each process that sends to it, from before
// that process's first message.
//
// # Limits
//
// A mailbox that has reached MaxPending or MaxBytes holds its senders up. A
// message that stays unacknowledged keeps its ring from being used again; its
// sender goes on in another one meanwhile. Space is reserved when a ring is made,
// so that a full file system is an error of Deliver, and given back when all in
// the ring is acknowledged; to leave for good takes none. A process needs a
// mapping for each ring, and a descriptor for each other process that sends to
// it. While there is no descriptor to open a ring with, the other rings are read,
// a Notice tells, and it is tried again each second.
//
// # Crash
//
// Whatever process is killed, nothing that was accepted is lost and nothing that
// was acknowledged comes again; a restart of the machine ends all. What is no
// message in a ring is fetched like one, and those around it arrive. A ring of
// which the beginning is damaged is set aside in .ipcmgr/corrupt, its beginning is
// fetched like a message, and its sender makes another one. The file of a ring,
// of the marks or of the gate that somebody makes shorter ends the processes that
// have it mapped: it is never done here, and only the same user could.
package shm

import (
	"context"
	"errors"

	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Name is what a configuration calls the protocol.
const Name = "shm"

// Protocol keeps messages in shared memory. Its zero value is ready to use.
type Protocol struct{}

func init() { protocol.Register(Protocol{}) }

// Name returns the name under which the protocol is registered.
func (Protocol) Name() string { return Name }

// Features says that all is kept, in memory.
func (Protocol) Features() protocol.Features {
	return protocol.Features{Suspends: true, Redelivers: true, MaxFrame: maxFrame}
}

// maxFrame is the largest frame in bytes: a record's length has 32 bits, and its
// ring twice the size of a power of two.
const maxFrame = 1<<31 - 4096

// Viable says why the protocol cannot work on this machine, or nil.
func (Protocol) Viable() error { return viable() }

// Spawn makes a store in the directory route, which is made if need be.
func (Protocol) Spawn(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	return spawn(ctx, route, s)
}

// Open gives a handle on the store in the directory route.
func (Protocol) Open(ctx context.Context, route string) (protocol.Store, error) {
	return open(ctx, route)
}

// CheckRoute says why a route cannot be a directory's, or nil.
func (Protocol) CheckRoute(route string) error { return roster.CheckRoute(route) }

// Collect removes the temporary stores whose owner and clients are all dead.
func (Protocol) Collect(ctx context.Context) ([]string, error) { return collect(ctx) }

// failed says what could not be done, unless the roster has said it.
func failed(op, peer string, err error) error {
	if err == nil { // and nothing allocated
		return nil
	}
	if told := (*protocol.Error)(nil); errors.As(err, &told) {
		return err
	}
	return &protocol.Error{Op: op, Protocol: Name, Peer: peer, Err: err}
}
