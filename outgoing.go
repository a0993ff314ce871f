package ipcmgr

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// outgoing is the encoded form of what one call sends.
type outgoing struct {
	now     int64  // when the call began, in microseconds: a batch reads the clock once
	content []byte // of the message being packed
	data    []byte // frames, one after the other
	ids     []byte
	ends    []mark
	frames  []protocol.Frame
	env     serializer.Envelope
}

// mark is where a frame and its id end, and how many frames up to it count in
// the statistics: one that asks to terminate does not.
type mark struct {
	data, id int
	counted  int64
}

var outgoings = sync.Pool{New: func() any { return new(outgoing) }}

func getOutgoing() *outgoing {
	o := outgoings.Get().(*outgoing)
	o.now = time.Now().UnixMicro()
	return o
}

// put gives the buffers back, unless a large message has made them large.
func (o *outgoing) put() {
	if cap(o.data)+cap(o.content) > 1<<20 || cap(o.frames) > 1<<12 {
		return
	}
	clear(o.frames)
	*o = outgoing{
		content: o.content[:0], data: o.data[:0], ids: o.ids[:0], ends: o.ends[:0], frames: o.frames[:0],
		env: serializer.Envelope{From: o.env.From[:0], To: o.env.To[:0]},
	}
	outgoings.Put(o)
}

// seal returns the frames; only now do their bytes no longer move.
func (o *outgoing) seal() []protocol.Frame {
	var from mark
	for _, to := range o.ends {
		o.frames = append(o.frames, protocol.Frame{ID: o.ids[from.id:to.id], Data: o.data[from.data:to.data]})
		from = to
	}
	return o.frames
}

// counted says how many of the frames n to end count in the statistics.
func (o *outgoing) counted(n, end int) int64 {
	upTo := func(n int) int64 {
		if n == 0 {
			return 0
		}
		return o.ends[n-1].counted
	}
	return upTo(end) - upTo(n)
}

// pack encodes one more message.
func (c *client) pack(o *outgoing, to string, content any, broadcast bool) error {
	ser := c.store.ser
	o.env = serializer.Envelope{From: o.env.From[:0], To: o.env.To[:0], Broadcast: broadcast, Headers: o.env.Headers[:0]}
	idStart := len(o.ids)
	var err error
	m, built := content.(*Message)
	switch {
	case !built:
		o.content, err = ser.AppendContent(o.content[:0], content)
		o.env.Content = o.content
	case m == nil:
		return errNilMessage
	default:
		err = c.packMessage(o, m)
	}
	if err != nil {
		return fmt.Errorf("content is not sent: %w", err)
	}
	if size := len(o.env.Content); size > c.store.max {
		return fmt.Errorf("%w: its content has %d bytes encoded with %s, at most %d are allowed (Config.MaxMessage)", ErrTooLarge, size, ser.Name(), c.store.max)
	}
	if built && m.ID != "" {
		o.ids = append(o.ids, m.ID...)
	}
	o.env.Micros, o.env.Ord = c.stamps.next(o.now)
	if len(o.ids) == idStart {
		var text [idLen]byte
		putID(&text, o.env.Micros/1000)
		o.ids = append(o.ids, text[:]...)
	}
	o.env.ID = o.ids[idStart:]
	o.env.From = append(o.env.From, c.id...)
	o.env.To = append(o.env.To, to...)
	if o.data, err = ser.AppendEnvelope(o.data, &o.env); err != nil {
		return err
	}
	counted := o.counted(0, len(o.ends))
	if !isTerminate(ser, o.env.Content) {
		counted++
	}
	o.ends = append(o.ends, mark{len(o.data), len(o.ids), counted})
	return nil
}

// packMessage takes over what a *Message has beside its content. The content
// of one received in the same form is sent on as it is.
func (c *client) packMessage(o *outgoing, m *Message) error {
	if m.ID != "" {
		if err := checkMessageID(m.ID); err != nil {
			return err
		}
	}
	size := 0
	for k, v := range m.Headers {
		size += len(k) + len(v)
		o.env.Headers = append(o.env.Headers, serializer.Pair{Key: k, Value: v})
	}
	if size > MaxHeaders {
		return fmt.Errorf("%w: its headers have %d bytes, at most %d are allowed", ErrTooLarge, size, MaxHeaders)
	}
	slices.SortFunc(o.env.Headers, func(a, b serializer.Pair) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	content, err := m.Content()
	if err != nil {
		return err
	}
	switch {
	case m.ser == nil:
		o.content, err = c.store.ser.AppendContent(o.content[:0], m.body)
		content = o.content
	case m.ser.Name() != c.store.ser.Name():
		var v any
		if err = m.ser.DecodeContent(content, &v); err == nil {
			o.content, err = c.store.ser.AppendContent(o.content[:0], v)
			content = o.content
		}
	default:
		o.env.Extra = m.extra
	}
	o.env.Content = content
	return err
}

var errNilMessage = errors.New("the *Message is nil")

// stamps gives each message of a client a time that no earlier one has, in the
// resolution in which it is written, whatever the clock does: Perl sorts by it.
type stamps struct {
	mu     sync.Mutex
	micros int64
	ord    uint64
}

func (s *stamps) next(now int64) (micros int64, ord uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now > s.micros {
		s.micros, s.ord = now, 0
	} else {
		s.ord++
	}
	return s.micros, s.ord
}
