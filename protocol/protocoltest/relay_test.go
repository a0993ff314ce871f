package protocoltest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// relay is a protocol for the suite's own test: it reaches the stores of mem in
// the test's process (see server) from others, over a socket that relayVar
// names. A handle is a connection, so that a process that is killed loses its
// handles as the protocol mem has it.
type relay struct{ protocol.Protocol }

const relayVar = "IPCMGR_PROTOCOLTEST_RELAY"

func (relay) Name() string { return "relay" }

func (r relay) Spawn(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	return r.dial(ctx, request{Op: "spawn", Route: route, Settings: s})
}

func (r relay) Open(ctx context.Context, route string) (protocol.Store, error) {
	return r.dial(ctx, request{Op: "open", Route: route})
}

func (r relay) Collect(ctx context.Context) ([]string, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	l, err := connect()
	if err != nil {
		return nil, err
	}
	defer l.close()
	a, err := l.call(ctx, request{Op: "collect"})
	return a.Routes, err
}

func (r relay) dial(ctx context.Context, q request) (protocol.Store, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	l, err := connect()
	if err != nil {
		return nil, err
	}
	a, err := l.call(ctx, q)
	if err != nil {
		l.close()
		return nil, err
	}
	return &relayStore{line: l, route: a.Route, settings: a.Settings}, nil
}

// request is one call on its way; answer what came of it.
type request struct {
	N        uint64
	Op       string
	Cancel   uint64 // ends the call of this number
	Route    string
	Settings protocol.Settings
	Box      int
	PID      int
	ID       string
	Mode     protocol.Mode
	Rev      uint64
	Force    bool
	Wait     bool
	Frames   [][]byte
	Max      int
	Ds       []protocol.Delivery
	Attrs    map[string]string
	Stats    []byte
	Suspend  bool
	Until    time.Time
	Under    string
	Folded   bool
	Refused  bool // Fold failed
}

type answer struct {
	N        uint64
	Err      string
	Is       []int // which of sentinels
	Route    string
	Routes   []string
	Settings protocol.Settings
	Box      int
	Epoch    uint64
	Found    protocol.State
	Attrs    map[string]string
	Stats    map[string][]byte
	Peers    []protocol.Peer
	Rev      uint64
	Count    int
	Yes      bool
	Ds       []protocol.Delivery
}

var sentinels = []error{
	io.EOF, errors.ErrUnsupported, context.Canceled,
	protocol.ErrClosed, protocol.ErrEnding, protocol.ErrFull, protocol.ErrNoPeer, protocol.ErrNoStore,
	protocol.ErrOwned, protocol.ErrPeerActive, protocol.ErrPeerCrashed, protocol.ErrPeerGone,
	protocol.ErrPeerSuspended, protocol.ErrStoreExists, protocol.ErrTooLarge,
}

// relayed is an error that has come a long way.
type relayed struct{ answer }

func (r relayed) Error() string { return r.Err }
func (r relayed) Is(target error) bool {
	for _, i := range r.answer.Is {
		if sentinels[i] == target {
			return true
		}
	}
	return false
}

// line is a connection with the calls under way on it.
type line struct {
	conn    net.Conn
	mu      sync.Mutex
	out     *json.Encoder
	last    uint64
	waiting map[uint64]chan answer // nil: closed
	ended   chan struct{}
}

func connect() (*line, error) {
	conn, err := net.Dial("unix", os.Getenv(relayVar))
	if err != nil {
		return nil, err
	}
	l := &line{conn: conn, out: json.NewEncoder(conn), waiting: map[uint64]chan answer{}, ended: make(chan struct{})}
	go l.listen()
	return l, nil
}

func (l *line) listen() {
	defer close(l.ended)
	in := json.NewDecoder(l.conn)
	for {
		var a answer
		if in.Decode(&a) != nil {
			break
		}
		l.mu.Lock()
		l.waiting[a.N] <- a
		delete(l.waiting, a.N)
		l.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.waiting {
		close(c)
	}
	l.waiting = nil
}

func (l *line) close() {
	l.conn.Close()
	<-l.ended
}

func (l *line) call(ctx context.Context, q request) (answer, error) {
	if ctx.Err() != nil {
		return answer{}, context.Cause(ctx)
	}
	c := make(chan answer, 1)
	l.mu.Lock()
	if l.waiting == nil {
		l.mu.Unlock()
		return answer{}, protocol.ErrClosed
	}
	l.last++
	q.N = l.last
	l.waiting[q.N] = c
	l.out.Encode(q)
	l.mu.Unlock()
	var a answer
	var ok bool
	select {
	case a, ok = <-c:
	case <-ctx.Done():
		l.mu.Lock()
		l.out.Encode(request{Cancel: q.N})
		l.mu.Unlock()
		a, ok = <-c
	}
	switch {
	case !ok:
		return a, protocol.ErrClosed
	case a.Err == "":
		return a, nil
	case errors.Is(relayed{a}, context.Canceled):
		return a, context.Cause(ctx)
	}
	return a, relayed{a}
}

type relayStore struct {
	*line
	route    string
	settings protocol.Settings
}

func (s *relayStore) Route() string               { return s.route }
func (s *relayStore) Settings() protocol.Settings { return s.settings }

func (s *relayStore) Connect(ctx context.Context, o protocol.ConnectOptions) (protocol.Mailbox, error) {
	a, err := s.call(ctx, request{Op: "connect", ID: o.ID, Mode: o.Mode, Attrs: o.Attrs, PID: os.Getpid()})
	if err != nil {
		return nil, err
	}
	return &relayBox{s: s, answer: a}, nil
}

func (s *relayStore) Peers(ctx context.Context) ([]protocol.Peer, uint64, error) {
	a, err := s.call(ctx, request{Op: "peers"})
	return a.Peers, a.Rev, err
}

func (s *relayStore) Stats(ctx context.Context) (map[string][]byte, error) {
	a, err := s.call(ctx, request{Op: "stats"})
	return a.Stats, err
}

func (s *relayStore) Unread(ctx context.Context, id string) (int, error) {
	a, err := s.call(ctx, request{Op: "unread", ID: id})
	return a.Count, err
}

func (s *relayStore) Owned() bool {
	a, _ := s.call(context.Background(), request{Op: "owned"})
	return a.Yes
}

func (s *relayStore) do(ctx context.Context, q request) error {
	_, err := s.call(ctx, q)
	return err
}

func (s *relayStore) Changed(ctx context.Context, rev uint64) error {
	return s.do(ctx, request{Op: "changed", Rev: rev})
}

func (s *relayStore) Own(ctx context.Context, force bool) error {
	return s.do(ctx, request{Op: "own", Force: force})
}

func (s *relayStore) Disown(ctx context.Context) error  { return s.do(ctx, request{Op: "disown"}) }
func (s *relayStore) End(ctx context.Context) error     { return s.do(ctx, request{Op: "end"}) }
func (s *relayStore) Unspawn(ctx context.Context) error { return s.do(ctx, request{Op: "unspawn"}) }

func (s *relayStore) Close() error {
	s.do(context.Background(), request{Op: "close"})
	s.close()
	return nil
}

type relayBox struct {
	s *relayStore
	answer
}

func (b *relayBox) Epoch() uint64                     { return b.answer.Epoch }
func (b *relayBox) Found() protocol.State             { return b.answer.Found }
func (b *relayBox) Left() (map[string]string, []byte) { return b.Attrs, b.answer.Stats[""] }

func (b *relayBox) Deliver(ctx context.Context, to string, frames []protocol.Frame, wait bool) (int, error) {
	q := request{Op: "deliver", Box: b.Box, ID: to, Wait: wait}
	for _, f := range frames {
		q.Frames = append(q.Frames, f.Data)
	}
	a, err := b.s.call(ctx, q)
	return a.Count, err
}

func (b *relayBox) Fetch(ctx context.Context, ds []protocol.Delivery, wait bool) (int, error) {
	a, err := b.s.call(ctx, request{Op: "fetch", Box: b.Box, Max: len(ds), Wait: wait})
	return copy(ds, a.Ds), err
}

func (b *relayBox) do(ctx context.Context, q request) error {
	q.Box = b.Box
	for i := range q.Ds {
		q.Ds[i].Data = nil
	}
	return b.s.do(ctx, q)
}

func tags(ds []protocol.Delivery) []protocol.Delivery {
	return append([]protocol.Delivery(nil), ds...)
}

func (b *relayBox) Ack(ctx context.Context, ds []protocol.Delivery) error {
	return b.do(ctx, request{Op: "ack", Ds: tags(ds)})
}

func (b *relayBox) Reject(ctx context.Context, d protocol.Delivery, _ error) error {
	return b.do(ctx, request{Op: "reject", Ds: []protocol.Delivery{d}})
}

func (b *relayBox) Publish(ctx context.Context, attrs map[string]string, stats []byte) error {
	return b.do(ctx, request{Op: "publish", Attrs: attrs, Stats: stats})
}

func (b *relayBox) Seal(ctx context.Context) error { return b.do(ctx, request{Op: "seal"}) }

func (b *relayBox) Leave(ctx context.Context, d protocol.Departure) error {
	q := request{Op: "leave", Suspend: d.Suspend, Until: d.Until, Ds: tags(d.Back), Stats: d.Stats, Under: d.Under}
	if d.Fold != nil {
		all, err := b.s.Stats(ctx)
		if err == nil {
			q.Stats, err = d.Fold(all[d.Under])
		}
		q.Folded, q.Refused = true, err != nil
		if err != nil {
			if left := b.do(ctx, q); errors.Is(left, protocol.ErrClosed) {
				return left
			}
			return err
		}
	}
	return b.do(ctx, q)
}
