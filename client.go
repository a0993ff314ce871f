package ipcmgr

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Client is one named end of a store. Its methods may be called concurrently;
// those that block return context.Cause(ctx) soon after ctx ends, and ErrClosed
// after Suspend or Disconnect.
type Client interface {
	// ID is the name under which others reach it.
	ID() string
	// Store is the handle through which it connected.
	Store() *Store

	// Send sends content, or a *Message, to one peer (which may be itself),
	// and returns when its mailbox has accepted it: the sender may be killed
	// the next instant. It blocks while that mailbox is full. An error means
	// that the message will not arrive, unless it matches ErrUnsure.
	// ErrNoPeer, ErrPeerGone, ErrPeerCrashed, ErrTooLarge.
	Send(ctx context.Context, to string, content any) error
	// TrySend is Send, but gives ErrFull instead of blocking.
	TrySend(ctx context.Context, to string, content any) error
	// SendBatch sends many to one peer, in order, as one operation, and says
	// how many leading ones were accepted.
	SendBatch(ctx context.Context, to string, contents ...any) (int, error)
	// Broadcast sends one content to each peer of the store but itself, and
	// gives a result for each. A full one does not hold up the others.
	Broadcast(ctx context.Context, content any) (Results, error)

	// Receive waits for the next message. It acknowledges what earlier Receive
	// and Poll calls handed out, unless ManualAck is set; so several goroutines
	// that receive should use Messages, or ManualAck. ErrTerminated once, when
	// the store's owner asks to terminate.
	Receive(ctx context.Context) (*Message, error)
	// Messages waits for one message after the other. The loop acknowledges a
	// message when it asks for the next, unless ManualAck is set; breaking out
	// of it, or a panic in it, does not. It ends without an error when the
	// store's owner asks to terminate; from then on, every loop of the client
	// ends as soon as it would have to wait.
	Messages(ctx context.Context) iter.Seq2[*Message, error]
	// Poll returns up to max messages that are ready, without waiting. It
	// acknowledges as Receive does. ErrTerminated once.
	Poll(ctx context.Context, max int) ([]*Message, error)
	// Next waits for the next message and acknowledges none: that is left to
	// Message.Ack, so what it hands out may be passed on to others, and be
	// settled in any order. Suspend and Disconnect put back what it handed out
	// and nobody has settled or handed on with Message.HandOn. ErrTerminated
	// once.
	Next(ctx context.Context) (*Message, error)
	// TryNext is Next without waiting: nil when no message is ready, or when
	// another goroutine waits for the next one.
	TryNext(ctx context.Context) (*Message, error)

	// SetAttrs replaces the attributes that peers see, at most 64 KiB. They
	// are kept while the client is suspended.
	SetAttrs(ctx context.Context, attrs map[string]string) error
	// Attrs gives them.
	Attrs() map[string]string
	// Stats counts the messages of this id so far.
	Stats() Stats
	// WriteStats writes them to the store now, where Store.Stats and an audit
	// find them; Suspend and Disconnect do it too.
	WriteStats(ctx context.Context) error

	// RequeueAll puts back all that was handed out and is not settled, as
	// Message.Requeue does, so that it comes again in its order: for who
	// suspends without knowing what was done.
	RequeueAll() error
	// Suspend leaves with the intent to return, by until unless it is zero.
	// Peers may go on sending. What was handed out, but by Next, and not put
	// back is acknowledged. It matches errors.ErrUnsupported where the protocol keeps
	// no mailbox.
	Suspend(ctx context.Context, until time.Time) error
	// Disconnect leaves for good. The mailbox first refuses new messages; what
	// it had accepted is then given to handler, in order, or, when that is nil
	// or fails, counted into the *UnreadError that is returned. Nothing remains
	// of the client but its statistics. When ctx ends before it is done, a client
	// whose mailbox can be kept is suspended instead, and the error says so.
	Disconnect(ctx context.Context, handler func(*Message) error) error
}

// client is the one implementation, over every protocol.
type client struct {
	store  *Store
	mb     protocol.Mailbox
	id     string
	from   []byte // id again
	opts   connectOptions
	counts ledger
	stamps stamper
	in     inbox

	mu    sync.Mutex
	attrs map[string]string

	// counting is held for reading while a call is under way that counts, so
	// that who leaves can wait for the last count. closing ends when the client
	// leaves, and wakes those that wait for room.
	counting  sync.RWMutex
	closing   context.Context
	close     context.CancelCauseFunc
	publishes sync.Mutex // keeps Publish calls in order
}

// ConnectOption is an option of Connect and Reconnect.
type ConnectOption func(*connectOptions)

type connectOptions struct {
	resume, fresh bool
	manual        bool
	corrupt       func(*CorruptError)
	log           *slog.Logger
	attrs         map[string]string
}

// Resume takes up what a suspended or crashed client of the same id left, if
// there is something to take up.
func Resume() ConnectOption { return func(o *connectOptions) { o.resume = true } }

// Fresh drops what a suspended or crashed client of the same id left. The
// audit shows what it dropped.
func Fresh() ConnectOption { return func(o *connectOptions) { o.fresh = true } }

// ManualAck leaves all acknowledging to Message.Ack.
func ManualAck() ConnectOption { return func(o *connectOptions) { o.manual = true } }

// OnCorrupt is called for each thing in the mailbox that is not a message; by
// default it is logged. It is called on the goroutine that receives.
func OnCorrupt(f func(*CorruptError)) ConnectOption {
	return func(o *connectOptions) { o.corrupt = f }
}

// Logger takes what the client has to tell and cannot return, such as a
// fallback to polling. The default is slog.Default.
func Logger(l *slog.Logger) ConnectOption { return func(o *connectOptions) { o.log = l } }

// Attrs sets the attributes that peers see, as SetAttrs does.
func Attrs(attrs map[string]string) ConnectOption {
	return func(o *connectOptions) { o.attrs = maps.Clone(attrs) }
}

// Connect makes a client of the store under an id of 1 to 512 bytes. Without
// an option the id must be free: ErrPeerActive, ErrPeerSuspended or
// ErrPeerCrashed say what is there. ErrEnding while the store is shut down.
func (s *Store) Connect(ctx context.Context, id string, opts ...ConnectOption) (Client, error) {
	o := collect(opts)
	mode := protocol.New
	switch {
	case o.resume && o.fresh:
		return nil, s.connectError("connect", id, errors.New("Resume and Fresh exclude each other"))
	case o.resume, o.fresh:
		mode = protocol.Resume
	}
	return s.connect(ctx, "connect", id, mode, o)
}

// Reconnect takes up a client that was suspended or that crashed: the same id,
// mailbox, order and statistics. ErrNoPeer, ErrPeerActive.
func (s *Store) Reconnect(ctx context.Context, id string, opts ...ConnectOption) (Client, error) {
	o := collect(opts)
	if o.resume || o.fresh {
		return nil, s.connectError("reconnect", id, errors.New("Resume and Fresh are options of Connect"))
	}
	return s.connect(ctx, "reconnect", id, protocol.Reconnect, o)
}

// ConnectAnonymous makes a client under an id that nobody has. What it counts
// is counted under the name "_cli", with that of all other anonymous clients,
// and no record of the id remains.
func (s *Store) ConnectAnonymous(ctx context.Context, opts ...ConnectOption) (Client, error) {
	return s.connect(ctx, "connect", newAnonymousID(), protocol.New, collect(opts))
}

func collect(opts []ConnectOption) connectOptions {
	o := connectOptions{log: slog.Default()}
	for _, set := range opts {
		set(&o)
	}
	return o
}

func (s *Store) connectError(op, id string, err error) error {
	return &Error{Op: op, Store: s.info.Redacted(), ID: id, Err: err}
}

func (s *Store) connect(ctx context.Context, op, id string, mode protocol.Mode, o connectOptions) (_ Client, err error) {
	if err := protocol.CheckID(id); err != nil {
		return nil, s.connectError(op, id, err)
	}
	if err := checkAttrs(o.attrs); err != nil {
		return nil, s.connectError(op, id, err)
	}
	if err := s.retain(); err != nil {
		return nil, err
	}
	defer local.enters(s.info)()
	defer func() {
		if err != nil {
			err = s.connectError(op, id, err)
			err = errors.Join(err, s.release())
		}
	}()
	c, err := s.enter(ctx, id, mode, o)
	if err != nil {
		return nil, err
	}
	if o.fresh && c.tookUp() {
		if _, err := c.leave(ctx, nil); err != nil {
			return nil, err
		}
		if c, err = s.enter(ctx, id, protocol.New, o); err != nil {
			return nil, err
		}
	}
	if c.mb.Found() == Crashed { // an audit is to know of it from now on
		if err := c.publish(ctx); err != nil {
			return nil, errors.Join(err, c.retreat(context.WithoutCancel(ctx)))
		}
	}
	local.add(c)
	return c, nil
}

func newClient(s *Store, id string) *client {
	c := &client{store: s, id: id, from: []byte(id), stamps: stamper{ids: newIDSeries()}}
	c.closing, c.close = context.WithCancelCause(context.Background())
	c.in.init()
	return c
}

// enter takes the id's place in the store.
func (s *Store) enter(ctx context.Context, id string, mode protocol.Mode, o connectOptions) (*client, error) {
	c := newClient(s, id)
	c.opts = o
	hello, err := s.ser.AppendContent(nil, map[string]string{"hello": id})
	if err != nil {
		return nil, err
	}
	c.mb, err = s.handle.Connect(ctx, protocol.ConnectOptions{
		ID: id, Mode: mode, Attrs: o.attrs, Hello: hello, Who: s.who,
		Notice: func(err error) { c.opts.log.Warn("ipcmgr", "client", id, "store", s.info.Redacted(), "notice", err) },
	})
	if err != nil {
		return nil, err
	}
	var stats []byte
	if c.attrs, stats = c.mb.Left(); o.attrs != nil {
		c.attrs = o.attrs
	}
	c.counts.s, err = decodeStats(s.ser, stats)
	if err != nil { // not worth more than the counts: the messages are there
		c.counts.s = newStats()
		c.opts.log.Warn("ipcmgr: counting begins anew", "client", id, "store", s.info.Redacted(), "err", err)
	}
	if c.mb.Found() == Crashed {
		c.counts.s.Crashes++
	}
	return c, nil
}

// tookUp says whether the client took up what another left.
func (c *client) tookUp() bool {
	return c.mb.Found() == Suspended || c.mb.Found() == Crashed
}

// retreat undoes enter, as far as that is possible.
func (c *client) retreat(ctx context.Context) error {
	if c.tookUp() && c.store.Features().Suspends {
		return c.depart(ctx, protocol.Departure{Suspend: true})
	}
	_, err := c.leave(ctx, nil)
	return err
}

// who reads the hello of the other end of a stream.
func (s *Store) who(hello []byte) (string, error) {
	var h struct {
		Hello string `json:"hello"`
	}
	if err := s.ser.DecodeContent(hello, &h); err != nil {
		return "", err
	}
	if h.Hello == protocol.Guard {
		return h.Hello, nil
	}
	return h.Hello, protocol.CheckID(h.Hello)
}

func (c *client) ID() string    { return c.id }
func (c *client) Store() *Store { return c.store }
func (c *client) Stats() Stats  { return c.counts.snapshot() }

// MaxAttrs is how many bytes the attributes of a client may have together.
const MaxAttrs = 64 << 10

func checkAttrs(attrs map[string]string) error {
	n := 0
	for k, v := range attrs {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("the attribute %q: %q is not valid UTF-8", k, v)
		}
		n += len(k) + len(v)
	}
	if n > MaxAttrs {
		return fmt.Errorf("%w: the attributes have %d bytes, at most %d are allowed", ErrTooLarge, n, MaxAttrs)
	}
	return nil
}

func (c *client) SetAttrs(ctx context.Context, attrs map[string]string) error {
	if err := checkAttrs(attrs); err != nil {
		return c.errorTo("set attributes", "", err)
	}
	c.publishes.Lock()
	defer c.publishes.Unlock()
	err := c.publishThese(ctx, attrs)
	if err == nil {
		c.mu.Lock()
		c.attrs = maps.Clone(attrs)
		c.mu.Unlock()
	}
	return c.errorTo("set attributes", "", err)
}

func (c *client) Attrs() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.attrs)
}

func (c *client) WriteStats(ctx context.Context) error {
	return c.errorTo("write statistics", "", c.publish(ctx))
}

func (c *client) publish(ctx context.Context) error {
	c.publishes.Lock()
	defer c.publishes.Unlock()
	return c.publishThese(ctx, c.Attrs())
}

// publishThese tells the store. publishes is held.
func (c *client) publishThese(ctx context.Context, attrs map[string]string) error {
	stats := c.Stats()
	data, err := stats.encode(c.store.ser)
	if err != nil {
		return err
	}
	return c.mb.Publish(ctx, attrs, data)
}

// errorTo says what this client could not do, and to whom.
func (c *client) errorTo(op, peer string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Store: c.store.info.Redacted(), ID: c.id, Peer: peer, Err: err}
}
