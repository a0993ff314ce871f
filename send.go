package ipcmgr

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

func (c *client) Send(ctx context.Context, to string, content any) error {
	return c.sendOne(ctx, to, content, true)
}

func (c *client) TrySend(ctx context.Context, to string, content any) error {
	return c.sendOne(ctx, to, content, false)
}

func (c *client) sendOne(ctx context.Context, to string, content any, wait bool) error {
	if err := protocol.CheckID(to); err != nil {
		return c.errorTo("send", "", err)
	}
	o := getOutgoing()
	defer o.put()
	if err := c.pack(o, to, content, false); err != nil {
		return c.errorTo("send", to, err)
	}
	_, err := c.deliver(ctx, to, o.seal(), wait)
	return c.errorTo("send", to, err)
}

func (c *client) SendBatch(ctx context.Context, to string, contents ...any) (int, error) {
	if err := protocol.CheckID(to); err != nil {
		return 0, c.errorTo("send", "", err)
	}
	o := getOutgoing()
	defer o.put()
	for n, content := range contents {
		if err := c.pack(o, to, content, false); err != nil {
			return 0, c.errorTo("send", to, fmt.Errorf("message %d of the batch: %w", n, err))
		}
	}
	n, err := c.deliver(ctx, to, o.seal(), true)
	return n, c.errorTo("send", to, err)
}

// Results says for each peer of a broadcast what became of its message; nil
// means accepted.
type Results map[string]error

// Err joins the errors, ordered by peer; nil when all accepted.
func (r Results) Err() error {
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(r)) {
		errs = append(errs, r[id])
	}
	return errors.Join(errs...)
}

func (c *client) Broadcast(ctx context.Context, content any) (Results, error) {
	peers, _, err := c.store.peers(ctx)
	if err != nil {
		return nil, c.errorTo("broadcast", "", err)
	}
	to := make([]string, 0, len(peers))
	for _, p := range peers {
		if p.ID != c.id {
			to = append(to, p.ID)
		}
	}
	return c.sendEach(ctx, to, content), nil
}

// sendEach sends one broadcast to several peers: first to each that has room,
// then to those that are full, all at once.
func (c *client) sendEach(ctx context.Context, to []string, content any) Results {
	results := make(Results, len(to))
	content, err := c.encodeOnce(content)
	if err != nil {
		for _, id := range to {
			results[id] = c.errorTo("broadcast", id, err)
		}
		return results
	}
	one := func(ctx context.Context, id string, wait bool) error {
		o := getOutgoing()
		defer o.put()
		if err := c.pack(o, id, content, true); err != nil {
			return c.errorTo("broadcast", id, err)
		}
		_, err := c.deliver(ctx, id, o.seal(), wait)
		return c.errorTo("broadcast", id, err)
	}
	var full []string
	for _, id := range to {
		results[id] = one(ctx, id, false)
		if errors.Is(results[id], ErrFull) {
			full = append(full, id)
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, id := range full {
		wg.Go(func() {
			err := one(ctx, id, true)
			mu.Lock()
			results[id] = err
			mu.Unlock()
		})
	}
	wg.Wait()
	return results
}

// encodeOnce returns content as a message whose content is encoded, for those
// who send it several times.
func (c *client) encodeOnce(content any) (*Message, error) {
	m, ok := content.(*Message)
	if ok && m == nil {
		return nil, errNilMessage
	}
	if !ok {
		m = &Message{body: content}
	}
	if m.ser != nil {
		return m, nil
	}
	encoded, err := c.store.ser.AppendContent(nil, m.body)
	if err != nil {
		return nil, fmt.Errorf("content is not sent: %w", err)
	}
	return &Message{ID: m.ID, Headers: m.Headers, content: encoded, ser: c.store.ser}, nil
}

var errNilMessage = errors.New("the *Message is nil")

// deliver hands frames to the protocol and counts what was accepted. It tries
// without waiting first, so that a client that leaves has to interrupt only
// those that wait for room.
func (c *client) deliver(ctx context.Context, to string, frames []protocol.Frame, wait bool) (int, error) {
	if len(frames) == 0 {
		return 0, nil
	}
	c.sending.RLock()
	defer c.sending.RUnlock()
	if c.closing.Err() != nil {
		return 0, ErrClosed
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	n, err := c.mb.Deliver(ctx, to, frames, false)
	c.counts.count(sent, to, int64(n))
	if wait && errors.Is(err, ErrFull) {
		var more int
		more, err = c.deliverWaiting(ctx, to, frames[n:])
		n += more
	}
	if errors.Is(err, ErrUnsure) {
		c.counts.count(unsure, to, int64(len(frames)-n))
	}
	return n, err
}

func (c *client) deliverWaiting(ctx context.Context, to string, frames []protocol.Frame) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.closing, func() { cancel(ErrClosed) })()
	n, err := c.mb.Deliver(ctx, to, frames, true)
	c.counts.count(sent, to, int64(n))
	return n, err
}

// outgoing is the encoded form of what one call sends.
type outgoing struct {
	content []byte // of the message being packed
	data    []byte // frames, one after the other
	ids     []byte
	ends    []mark
	frames  []protocol.Frame
	env     serializer.Envelope
}

// mark is where a frame and its id end.
type mark struct{ data, id int }

var outgoings = sync.Pool{New: func() any { return new(outgoing) }}

func getOutgoing() *outgoing { return outgoings.Get().(*outgoing) }

// put gives the buffers back, unless a large message has made them large.
func (o *outgoing) put() {
	if cap(o.data)+cap(o.content) > 1<<20 || cap(o.frames) > 1<<12 {
		return
	}
	clear(o.frames)
	*o = outgoing{content: o.content[:0], data: o.data[:0], ids: o.ids[:0], ends: o.ends[:0], frames: o.frames[:0]}
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

// pack encodes one more message.
func (c *client) pack(o *outgoing, to string, content any, broadcast bool) error {
	ser := c.store.ser
	o.env = serializer.Envelope{Broadcast: broadcast, Headers: o.env.Headers[:0]}
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
	o.env.Micros, o.env.Ord = c.stamps.next()
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
	o.ends = append(o.ends, mark{len(o.data), len(o.ids)})
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

// stamps gives each message of a client a time that no earlier one has, in the
// resolution in which it is written, whatever the clock does: Perl sorts by it.
type stamps struct {
	mu     sync.Mutex
	micros int64
	ord    uint64
}

func (s *stamps) next() (micros int64, ord uint64) {
	now := time.Now().UnixMicro()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now > s.micros {
		s.micros, s.ord = now, 0
	} else {
		s.ord++
	}
	return s.micros, s.ord
}
