package ipcmgr

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/ipcmgr/ipcmgr/serializer"
)

// Message is one message. A program gets it from a Client, or builds one with
// NewMessage to set more than its content.
//
// A received message's content stays encoded until it is asked for, and may lie
// in the store itself: it is the program's until the message is acknowledged.
// Messages are made many at a time: who holds on to one, holds on to the memory
// of some others. Keep gives one without them.
type Message struct {
	ID      string            // unique; chosen when it is sent if empty
	From    string            // who sent it; set by Send
	To      string            // whom it was sent to; set by Send
	Time    time.Time         // when it was sent, by the sender's clock; orders nothing
	Headers map[string]string // small: at most MaxHeaders bytes

	// Broadcast says that it was sent to all peers.
	Broadcast bool
	// Redelivered says that it may have been handed out before, by a client
	// that crashed, or that it was put back with Requeue.
	Redelivered bool

	// Of a message that a client fetched. The inbox guards lent, state and pins.
	// They are small: a message more is allocated for each that is received.
	terminate bool // asks to terminate: handed out as ErrTerminated only
	lent      bool // handed out by Next or TryNext
	state     messageState
	pins      uint8  // how many are decoding it, or what has taken its place when it was put back
	slot      uint16 // its place in batch
	batch     *batch

	own *body // of any other
}

type messageState uint8

const (
	detached     messageState = iota // not in a mailbox: built, cloned or kept
	ready                            // fetched, not handed out
	handed                           // handed out
	returned                         // put back: handed out again as another Message
	acknowledged                     // so, or rejected: the content may be gone
)

// body is what a message says.
type body struct {
	value   any                   // not encoded yet, unless there is
	ser     serializer.Serializer // who encoded it:
	content []byte
	extra   []serializer.Field // parts we do not know, sent on as they are
}

// NewMessage builds a message with a content, which is encoded when it is
// sent. Its ID and Headers may be set before.
func NewMessage(content any) *Message { return &Message{own: &body{value: content}} }

// With returns a copy of the message, with the same id and headers, and
// another content.
func (m *Message) With(content any) *Message {
	c := NewMessage(content)
	c.ID, c.Headers = m.ID, maps.Clone(m.Headers)
	return c
}

// Clone returns a copy of the message with a new id, to be sent as one of its
// own. The content of a received message is copied: ErrAcknowledged when it is
// gone.
func (m *Message) Clone() (*Message, error) {
	c, err := m.Keep()
	if err != nil {
		return nil, err
	}
	c.ID, c.From, c.To, c.Time, c.Broadcast, c.Redelivered = newID(), "", "", time.Time{}, false, false
	return c, nil
}

// Keep returns a copy that outlives the acknowledgement of the message and is
// not touched by it. ErrAcknowledged when it is too late.
func (m *Message) Keep() (*Message, error) {
	own, err := m.pin()
	if err != nil {
		return nil, err
	}
	defer m.unpin()
	if own.ser != nil {
		own.content = append([]byte{}, own.content...)
		extra := own.extra
		own.extra = nil
		for _, f := range extra {
			own.extra = append(own.extra, serializer.Field{Key: f.Key, Value: append([]byte(nil), f.Value...)})
		}
	}
	return &Message{
		ID: m.ID, From: m.From, To: m.To, Time: m.Time,
		Broadcast: m.Broadcast, Redelivered: m.Redelivered,
		Headers: maps.Clone(m.Headers), own: &own,
	}, nil
}

// Decode decodes the content into v, a pointer. What it stores is a copy; a
// []byte that has room is reused. ErrAcknowledged after the message was
// acknowledged; while it is being decoded, who acknowledges it, or leaves,
// waits.
func (m *Message) Decode(v any) error {
	from, err := m.pin()
	if err != nil {
		return err
	}
	defer m.unpin()
	if from.ser == nil {
		return errors.New("the message was built here and not received: its content is not encoded yet")
	}
	if err := from.ser.DecodeContent(from.content, v); err != nil {
		return fmt.Errorf("content of message %s from %q does not decode into %T: %w", m.ID, m.From, v, err)
	}
	return nil
}

// Content returns the encoded content as it was received, in the form of the
// store's serializer; nil for a message that was built here. It must not be
// changed, and not be read after the message was acknowledged; asking for it
// then is ErrAcknowledged.
func (m *Message) Content() ([]byte, error) {
	from, err := m.pin()
	if err != nil {
		return nil, err
	}
	m.unpin()
	return from.content, nil
}

// pin gives all that the message says, unless it is gone. What lies in the store
// stays there until unpin is called.
func (m *Message) pin() (body, error) {
	switch {
	case m.batch != nil:
		return m.batch.pin(m)
	case m.own != nil:
		return *m.own, nil
	}
	return body{}, nil
}

func (m *Message) unpin() {
	if m.batch != nil {
		m.batch.client.in.unpin(m)
	}
}

// IsTerminate says whether the message asks its receiver to terminate: its
// content is an object whose "terminate" is true as Perl sees it. A client
// acts on such messages itself and hands none out.
func (m *Message) IsTerminate() bool {
	from, err := m.pin()
	if err != nil {
		return false
	}
	defer m.unpin()
	if from.ser == nil {
		object, ok := from.value.(map[string]any)
		return ok && truthy(object["terminate"])
	}
	return isTerminate(from.ser, from.content)
}

// String names the message for a log.
func (m *Message) String() string {
	return fmt.Sprintf("message %s from %q to %q", m.ID, m.From, m.To)
}
