package ipcmgr

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// Message is one message. A program gets it from a Client, or builds one with
// NewMessage to set more than its content.
//
// A received message's content stays encoded until it is asked for, and may lie
// in the store itself: it is the program's until the message is acknowledged.
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

	body    any    // of a message built here, not encoded yet
	content []byte // of a received one, encoded by ser
	ser     serializer.Serializer
	extra   []serializer.Field // of a received one: parts we do not know, sent on as they are

	// Of a message that a client handed out; guarded by the client's mutex.
	client     *client
	delivery   protocol.Delivery
	state      messageState
	prev, next *Message
}

type messageState uint8

const (
	detached     messageState = iota // not in a mailbox: built, cloned or kept
	ready                            // fetched, not handed out
	handed                           // handed out
	returned                         // put back: handed out again as another Message
	acknowledged                     // so, or rejected: the content may be gone
)

// NewMessage builds a message with a content, which is encoded when it is
// sent. Its ID and Headers may be set before.
func NewMessage(content any) *Message { return &Message{body: content} }

// With returns a copy of the message, with the same id and headers, and
// another content.
func (m *Message) With(content any) *Message {
	return &Message{ID: m.ID, Headers: maps.Clone(m.Headers), body: content}
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
	content, err := m.Content()
	if err != nil {
		return nil, err
	}
	k := &Message{
		ID: m.ID, From: m.From, To: m.To, Time: m.Time,
		Broadcast: m.Broadcast, Redelivered: m.Redelivered,
		Headers: maps.Clone(m.Headers), body: m.body, ser: m.ser,
	}
	if m.ser != nil {
		k.content = append([]byte{}, content...)
		for _, f := range m.extra {
			k.extra = append(k.extra, serializer.Field{Key: f.Key, Value: append([]byte(nil), f.Value...)})
		}
	}
	return k, nil
}

// Decode decodes the content into v, a pointer. What it stores is a copy; a
// []byte that has room is reused. ErrAcknowledged after the message was
// acknowledged.
func (m *Message) Decode(v any) error {
	content, err := m.Content()
	if err != nil {
		return err
	}
	if m.ser == nil {
		return errors.New("the message was built here and not received: its content is not encoded yet")
	}
	if err := m.ser.DecodeContent(content, v); err != nil {
		return fmt.Errorf("content of message %s from %q does not decode into %T: %w", m.ID, m.From, v, err)
	}
	return nil
}

// Content returns the encoded content as it was received, in the form of the
// store's serializer; nil for a message that was built here. It must not be
// changed, and not be read after the message was acknowledged; asking for it
// then is ErrAcknowledged.
func (m *Message) Content() ([]byte, error) {
	if m.client == nil {
		return m.content, nil
	}
	m.client.in.mu.Lock()
	defer m.client.in.mu.Unlock()
	if m.state == acknowledged || m.state == returned {
		return nil, m.stateError()
	}
	return m.content, nil
}

// IsTerminate says whether the message asks its receiver to terminate: its
// content is an object whose "terminate" is true as Perl sees it. A client
// acts on such messages itself and hands none out.
func (m *Message) IsTerminate() bool {
	if m.ser == nil {
		body, ok := m.body.(map[string]any)
		return ok && truthy(body["terminate"])
	}
	content, err := m.Content()
	return err == nil && isTerminate(m.ser, content)
}

// String names the message for a log.
func (m *Message) String() string {
	return fmt.Sprintf("message %s from %q to %q", m.ID, m.From, m.To)
}
