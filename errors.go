package ipcmgr

import (
	"fmt"
	"strings"

	"github.com/ipcmgr/ipcmgr/protocol"
)

type sentinel string

func (s sentinel) Error() string { return string(s) }

// The errors that can be matched with errors.Is. Those of package protocol are
// the same values. A verb that a protocol does not have gives an error that
// matches errors.ErrUnsupported; a call whose context ended gives
// context.Cause of it.
const (
	ErrAcknowledged  = sentinel("message was acknowledged, and its content may be gone: decode it before, or use Message.Keep")
	ErrTerminated    = sentinel("the store's owner asks to terminate")
	ErrBadID         = protocol.ErrBadID
	ErrClosed        = protocol.ErrClosed
	ErrEnding        = protocol.ErrEnding
	ErrFull          = protocol.ErrFull
	ErrNoPeer        = protocol.ErrNoPeer
	ErrNoStore       = protocol.ErrNoStore
	ErrNotOwner      = protocol.ErrNotOwner
	ErrOwned         = protocol.ErrOwned
	ErrPeerActive    = protocol.ErrPeerActive
	ErrPeerCrashed   = protocol.ErrPeerCrashed
	ErrPeerGone      = protocol.ErrPeerGone
	ErrPeerSuspended = protocol.ErrPeerSuspended
	ErrStoreExists   = protocol.ErrStoreExists
	ErrTooLarge      = protocol.ErrTooLarge
	ErrUnsure        = protocol.ErrUnsure
	ErrVersion       = protocol.ErrVersion
)

// Error says which verb failed, for which client or store, and why.
type Error struct {
	Op    string // "connect", "send", …
	Store string // its info, without credentials
	ID    string // the client it was done as, or ""
	Peer  string // the client it was done to, or ""
	Err   error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	switch {
	case e.ID != "" && e.Peer != "":
		fmt.Fprintf(&b, " as %q to %q", e.ID, e.Peer)
	case e.ID != "":
		fmt.Fprintf(&b, " as %q", e.ID)
	case e.Peer != "":
		fmt.Fprintf(&b, " %q", e.Peer)
	}
	fmt.Fprintf(&b, ": %s (store %s)", e.why(), e.Store)
	return b.String()
}

// why leaves out what a protocol's error says and this one says too.
func (e *Error) why() string {
	p, ok := e.Err.(*protocol.Error) // one that is wrapped is a part of a longer text
	switch {
	case !ok || p.Peer != "" && p.Peer != e.ID && p.Peer != e.Peer:
		return e.Err.Error()
	case p.Op == e.Op || p.Peer != "" && p.Peer == e.Peer:
		return p.Err.Error()
	}
	return p.Op + ": " + p.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// UnreadError is what Disconnect returns when messages were left in the
// mailbox and no handler took them. They are gone; they count as dropped.
type UnreadError struct {
	ID   string
	From map[string]int64 // how many, by sender
}

func (e *UnreadError) Error() string {
	return fmt.Sprintf("%q left with unread messages: %s", e.ID, countsText(e.From))
}

// Total is the number of messages that were dropped.
func (e *UnreadError) Total() int64 {
	var n int64
	for _, c := range e.From {
		n += c
	}
	return n
}

// CorruptError describes bytes in a mailbox that were not a message, or a
// message that was not what it claimed to be. It was counted and set aside.
type CorruptError struct {
	ID   string // the client whose mailbox it was in
	From string // who delivered it, as far as that is known
	Data []byte // the beginning of it, at most 4 KiB
	Size int    // bytes
	Err  error
}

func (e *CorruptError) Error() string {
	from := "an unknown sender"
	if e.From != "" {
		from = fmt.Sprintf("%q", e.From)
	}
	return fmt.Sprintf("corrupt message of %d bytes from %s in the mailbox of %q was set aside: %v", e.Size, from, e.ID, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }
