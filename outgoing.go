package ipcmgr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// outgoing is the encoded form of what one call sends to one peer.
type outgoing struct {
	env     serializer.Envelope // of the message being packed
	to      []byte
	ids     []byte // of all messages, stamped at once
	content []byte // of the message being packed
	data    []byte // frames, one after the other
	ends    []int  // where they end
	silent  []int  // which of them do not count: they ask to terminate
	frames  []protocol.Frame
}

var outgoings = sync.Pool{New: func() any { return new(outgoing) }}

func getOutgoing() *outgoing { return outgoings.Get().(*outgoing) }

// put gives the buffers back, unless a large message has made them large.
func (o *outgoing) put() {
	if cap(o.data)+cap(o.content) > 1<<20 || cap(o.frames) > 1<<12 {
		return
	}
	clear(o.env.Headers)
	o.env.Broadcast, o.env.Content, o.env.Extra = false, nil, nil
	o.ids, o.data, o.ends, o.silent, o.frames = o.ids[:0], o.data[:0], o.ends[:0], o.silent[:0], o.frames[:0]
	outgoings.Put(o)
}

// address says to whom the n messages go that are packed next.
func (c *client) address(o *outgoing, to string, n int) (err error) {
	o.to = append(o.to[:0], to...)
	o.env.From, o.env.To = c.from, o.to
	o.env.Micros, o.env.Ord, o.ids, err = c.stamps.stamp(to, n, o.ids)
	return err
}

// seal returns the frames; only now do their bytes no longer move.
func (o *outgoing) seal() []protocol.Frame {
	from := 0
	for n, end := range o.ends {
		o.frames[n].Data = o.data[from:end]
		from = end
	}
	return o.frames
}

// counted says how many of the frames n to end count in the statistics.
func (o *outgoing) counted(n, end int) int64 {
	count := end - n
	for _, silent := range o.silent {
		if silent >= n && silent < end {
			count--
		}
	}
	return int64(count)
}

// pack encodes one more message.
func (c *client) pack(o *outgoing, content any) (err error) {
	env := &o.env
	n := len(o.ends)
	env.ID = o.ids[n*idLen : (n+1)*idLen]
	env.Headers, env.Extra = env.Headers[:0], nil
	if m, built := content.(*Message); built {
		return c.packMessage(o, m)
	}
	if o.content, err = c.store.ser.AppendContent(o.content[:0], content); err != nil {
		return notSent(err)
	}
	env.Content = o.content
	return c.enclose(o)
}

// packMessage takes over what a *Message has beside its content. The content
// of one received in the same form is sent on as it is.
func (c *client) packMessage(o *outgoing, m *Message) error {
	if m == nil {
		return notSent(errNilMessage)
	}
	if m.ID != "" {
		if err := checkMessageID(m.ID); err != nil {
			return notSent(err)
		}
		o.env.ID = []byte(m.ID)
	}
	size := 0
	for k, v := range m.Headers {
		size += len(k) + len(v)
		o.env.Headers = append(o.env.Headers, serializer.Pair{Key: k, Value: v})
	}
	if size > MaxHeaders {
		return notSent(fmt.Errorf("%w: its headers have %d bytes, at most %d are allowed", ErrTooLarge, size, MaxHeaders))
	}
	slices.SortFunc(o.env.Headers, func(a, b serializer.Pair) int { return strings.Compare(a.Key, b.Key) })
	from, err := m.pin()
	if err != nil {
		return notSent(err)
	}
	defer m.unpin()
	ser := c.store.ser
	o.env.Content, o.env.Extra = from.content, from.extra
	if from.ser != nil && from.ser.Name() == ser.Name() {
		return c.enclose(o)
	}
	if from.ser != nil {
		err = from.ser.DecodeContent(from.content, &from.value)
	}
	if err == nil {
		o.content, err = ser.AppendContent(o.content[:0], from.value)
	}
	if err != nil {
		return notSent(err)
	}
	o.env.Content, o.env.Extra = o.content, nil
	return c.enclose(o)
}

// enclose puts the content into a frame.
func (c *client) enclose(o *outgoing) (err error) {
	ser, env := c.store.ser, &o.env
	if size := len(env.Content); size > c.store.max {
		return fmt.Errorf("%w: its content has %d bytes encoded with %s, at most %d are allowed (Config.MaxMessage)", ErrTooLarge, size, ser.Name(), c.store.max)
	}
	if o.data, err = ser.AppendEnvelope(o.data, env); err != nil {
		return err
	}
	if isTerminate(ser, env.Content) {
		o.silent = append(o.silent, len(o.ends))
	}
	o.frames = append(o.frames, protocol.Frame{ID: env.ID})
	o.ends = append(o.ends, len(o.data))
	env.Ord++
	return nil
}

func notSent(err error) error { return fmt.Errorf("content is not sent: %w", err) }

var errNilMessage = errors.New("the *Message is nil")
