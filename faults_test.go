package ipcmgr_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/mem"
)

// faulty is mem with faults that a test turns on.
type faulty struct {
	mem.Protocol
	f *faults
}

type faults struct {
	ack, reject, seal, deliver, publish, fetch atomic.Pointer[error]
	forge                                      atomic.Bool     // deliver in another's name
	garbage                                    atomic.Bool     // deliver what is no message
	delivered                                  atomic.Bool     // something was
	held                                       atomic.Bool     // Unread waits until its context ends
	decoding                                   atomic.Bool     // of a message, so that none is to be settled
	tooEarly                                   atomic.Bool     // one was
	connected                                  func(id string) // called before Connect returns
}

func set(p *atomic.Pointer[error], err error) { p.Store(&err) }

func (f *faults) settling() {
	if f.decoding.Load() {
		f.tooEarly.Store(true)
	}
}

func fault(p *atomic.Pointer[error]) error {
	if err := p.Load(); err != nil {
		return *err
	}
	return nil
}

func (faulty) Name() string { return "faulty" }

func (p faulty) Spawn(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	st, err := p.Protocol.Spawn(ctx, route, s)
	return faultyStore{st, p.f}, err
}

type faultyStore struct {
	protocol.Store
	f *faults
}

func (s faultyStore) Connect(ctx context.Context, o protocol.ConnectOptions) (protocol.Mailbox, error) {
	mb, err := s.Store.Connect(ctx, o)
	if s.f.connected != nil {
		s.f.connected(o.ID)
	}
	return faultyMailbox{mb, s.f}, err
}

func (s faultyStore) Unread(ctx context.Context, id string) (int, error) {
	if s.f.held.Load() {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	return s.Store.Unread(ctx, id)
}

type faultyMailbox struct {
	protocol.Mailbox
	f *faults
}

func (m faultyMailbox) Ack(ctx context.Context, ds []protocol.Delivery) error {
	m.f.settling()
	if err := fault(&m.f.ack); err != nil {
		return err
	}
	return m.Mailbox.Ack(ctx, ds)
}

func (m faultyMailbox) Reject(ctx context.Context, d protocol.Delivery, reason error) error {
	m.f.settling()
	if err := fault(&m.f.reject); err != nil {
		return err
	}
	return m.Mailbox.Reject(ctx, d, reason)
}

func (m faultyMailbox) Leave(ctx context.Context, d protocol.Departure) error {
	m.f.settling()
	return m.Mailbox.Leave(ctx, d)
}

func (m faultyMailbox) Seal(ctx context.Context) error {
	if err := fault(&m.f.seal); err != nil {
		return err
	}
	return m.Mailbox.Seal(ctx)
}

func (m faultyMailbox) Publish(ctx context.Context, attrs map[string]string, stats []byte) error {
	if err := fault(&m.f.publish); err != nil {
		return err
	}
	return m.Mailbox.Publish(ctx, attrs, stats)
}

func (m faultyMailbox) Deliver(ctx context.Context, to string, frames []protocol.Frame, wait bool) (int, error) {
	if err := fault(&m.f.deliver); err != nil {
		return 0, err
	}
	if m.f.garbage.Load() {
		frames = []protocol.Frame{{ID: []byte("x"), Data: []byte("no message")}}
	}
	defer m.f.delivered.Store(true)
	return m.Mailbox.Deliver(ctx, to, frames, wait)
}

func (m faultyMailbox) Fetch(ctx context.Context, ds []protocol.Delivery, wait bool) (int, error) {
	if err := fault(&m.f.fetch); err != nil {
		return 0, err
	}
	n, err := m.Mailbox.Fetch(ctx, ds, wait)
	if m.f.forge.Load() {
		for i := range ds[:n] {
			ds[i].From = "mallory"
		}
	}
	return n, err
}

func spawnFaulty(t *testing.T) (*ipcmgr.Store, *faults) {
	f := &faults{}
	return spawn(t, ipcmgr.Config{Protocol: ipcmgr.Names{"faulty"}, Protocols: []protocol.Protocol{faulty{f: f}}}), f
}

// A fault of the protocol reaches the caller, loses nothing, and once it is
// gone all goes on.
func TestFaultsOfAcknowledging(t *testing.T) {
	s, f := spawnFaulty(t)
	ctx := testContext(t)
	disk := errors.New("the disk is full")
	a := connect(t, s, "a", ipcmgr.ManualAck())
	send(t, a, "a", "one", "two")
	m, err := a.Receive(ctx)
	require.NoError(t, err)
	set(&f.ack, disk)
	set(&f.reject, disk)
	require.ErrorIs(t, m.Ack(ctx), disk)
	require.ErrorIs(t, m.Reject(ctx, nil), disk)
	require.Equal(t, "one", decode(t, m), "it is still the program's")
	require.Zero(t, a.Stats().Read["a"])
	set(&f.ack, nil)
	set(&f.reject, nil)
	require.NoError(t, m.Ack(ctx))

	b := connect(t, s, "b")
	send(t, a, "b", "three", "four")
	require.Equal(t, []string{"three", "four"}, receive(t, b, 2))
	set(&f.ack, disk)
	_, err = b.Poll(ctx, 1) // wants to put both on record
	require.ErrorIs(t, err, disk)
	require.Zero(t, b.Stats().Read["a"])
	set(&f.ack, nil)
	empty(t, b)
	require.EqualValues(t, 2, b.Stats().Read["a"])
}

// A Disconnect that cannot empty the mailbox suspends it, so that nothing is
// lost.
func TestFaultOfSealing(t *testing.T) {
	s, f := spawnFaulty(t)
	ctx := testContext(t)
	a := connect(t, s, "a")
	send(t, a, "a", "one")
	broken := errors.New("broken")
	set(&f.seal, broken)
	err := a.Disconnect(ctx, nil)
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "suspended instead")
	set(&f.seal, nil)
	a, err = s.Reconnect(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, []string{"one"}, receive(t, a, 1))
}

// What may or may not have been accepted is counted apart, and the audit does
// not claim to know.
func TestUnsure(t *testing.T) {
	s, f := spawnFaulty(t)
	ctx := testContext(t)
	a, b := connect(t, s, "a"), connect(t, s, "b")
	set(&f.deliver, ipcmgr.ErrUnsure)
	require.ErrorIs(t, a.Send(ctx, "b", "x"), ipcmgr.ErrUnsure)
	n, err := a.SendBatch(ctx, "b", "x", "y")
	require.ErrorIs(t, err, ipcmgr.ErrUnsure)
	require.Zero(t, n)
	set(&f.deliver, nil)
	require.EqualValues(t, 3, a.Stats().Unsure["b"])
	require.Zero(t, a.Stats().Sent["b"])
	require.NoError(t, b.Disconnect(ctx, nil))
}

// What is no message, or forged, is counted, told and set aside; the next one
// is delivered.
func TestCorruptMessages(t *testing.T) {
	s, f := spawnFaulty(t)
	var told []*ipcmgr.CorruptError
	a := connect(t, s, "a")
	b := connect(t, s, "b", ipcmgr.OnCorrupt(func(e *ipcmgr.CorruptError) { told = append(told, e) }))
	f.garbage.Store(true)
	send(t, a, "b", "turned into garbage")
	f.garbage.Store(false)
	send(t, a, "b", "good")
	require.Equal(t, []string{"good"}, receive(t, b, 1))
	require.Len(t, told, 1)
	require.Equal(t, "no message", string(told[0].Data))
	require.ErrorContains(t, told[0], `corrupt message of 10 bytes from "a" in the mailbox of "b"`)

	f.forge.Store(true)
	send(t, a, "b", "forged")
	empty(t, b)
	f.forge.Store(false)
	require.Len(t, told, 2)
	require.ErrorContains(t, told[1], `claims to be from "a", but "mallory" sent it`)
	require.EqualValues(t, map[string]int64{"a": 1, "mallory": 1}, b.Stats().Corrupt)
}

// What could not be set aside comes again, and counts once.
func TestCorruptMessageThatIsNotSetAside(t *testing.T) {
	s, f := spawnFaulty(t)
	ctx := testContext(t)
	a := connect(t, s, "a")
	quiet := ipcmgr.OnCorrupt(func(*ipcmgr.CorruptError) {})
	b := connect(t, s, "b", quiet)
	f.garbage.Store(true)
	send(t, a, "b", "turned into garbage")
	f.garbage.Store(false)
	set(&f.reject, errors.New("the disk is full"))
	empty(t, b)
	require.Empty(t, b.Stats().Corrupt)
	set(&f.reject, nil)
	require.NoError(t, b.Suspend(ctx, time.Time{}))
	b, err := s.Reconnect(ctx, "b", quiet)
	require.NoError(t, err)
	empty(t, b)
	require.EqualValues(t, map[string]int64{"a": 1}, b.Stats().Corrupt)
}

// A Poll that meets an error gives what it has: the messages would be lost to
// a caller that looks at the error first. The next call meets it again.
func TestPollGivesWhatItHas(t *testing.T) {
	s, f := spawnFaulty(t)
	ctx := testContext(t)
	a := connect(t, s, "a")
	for n := range 300 {
		send(t, a, "a", n)
	}
	_, err := a.Receive(ctx)
	require.NoError(t, err)
	disk := errors.New("the disk is full")
	set(&f.ack, disk)
	first, err := a.Poll(ctx, 1000)
	require.NoError(t, err)
	require.NotEmpty(t, first)
	_, err = a.Poll(ctx, 1000)
	require.ErrorIs(t, err, disk)
	set(&f.ack, nil)
	rest, err := a.Poll(ctx, 1000)
	require.NoError(t, err)
	require.Len(t, append(first, rest...), 299)
}

// A Connect that fails after it took a mailbox up leaves it as it found it.
func TestConnectThatFailsHalfway(t *testing.T) {
	s, f := spawnFaulty(t)
	ctx := testContext(t)
	a, b := connect(t, s, "a"), connect(t, s, "b")
	send(t, a, "b", "kept")
	require.NoError(t, mem.Crash(s.Info().Route, "b"))
	_ = b.Disconnect(ctx, nil) // so that this process forgets it
	disk := errors.New("the disk is full")
	set(&f.publish, disk)
	_, err := s.Reconnect(ctx, "b")
	require.ErrorIs(t, err, disk)
	set(&f.publish, nil)
	b, err = s.Reconnect(ctx, "b")
	require.NoError(t, err)
	require.EqualValues(t, 1, b.Stats().Crashes)
	require.Equal(t, []string{"kept"}, receive(t, b, 1))
}

// A Disconnect that is interrupted keeps the marks: of what was put back, and of
// what its handler had in hand when it failed.
func TestInterruptedDisconnectKeepsMarks(t *testing.T) {
	s, f := spawnFaulty(t)
	broken := errors.New("broken")
	err := onePutBack(t, s).Disconnect(testContext(t), func(m *ipcmgr.Message) error {
		if decode(t, m) == "one" {
			return nil
		}
		set(&f.ack, broken) // from here on nothing can be put on record
		return errors.New("no")
	})
	require.ErrorIs(t, err, broken)
	set(&f.ack, nil)
	require.Equal(t, []string{"one!", "two!", "three"}, marks(t, s))
}

// So it is when nothing was handed to anybody.
func TestInterruptedDisconnectWithoutHandlerKeepsMarks(t *testing.T) {
	s, f := spawnFaulty(t)
	a := onePutBack(t, s)
	broken := errors.New("broken")
	set(&f.fetch, broken)
	require.ErrorIs(t, a.Disconnect(testContext(t), nil), broken)
	set(&f.fetch, nil)
	require.Equal(t, []string{"one!", "two", "three"}, marks(t, s))
}

// onePutBack gives a client that has three messages, of which it has put back
// the first.
func onePutBack(t *testing.T, s *ipcmgr.Store) ipcmgr.Client {
	a := connect(t, s, "a", ipcmgr.ManualAck())
	send(t, a, "a", "one", "two", "three")
	first, err := a.Receive(testContext(t))
	require.NoError(t, err)
	require.NoError(t, first.Requeue())
	return a
}

// marks takes the client a up, and lists what it gets, with a ! behind what is
// marked.
func marks(t *testing.T, s *ipcmgr.Store) (texts []string) {
	a, err := s.Reconnect(testContext(t), "a")
	require.NoError(t, err)
	for range 3 {
		m, err := a.Receive(testContext(t))
		require.NoError(t, err)
		text := decode(t, m)
		if m.Redelivered {
			text += "!"
		}
		texts = append(texts, text)
	}
	return texts
}

// A client that connects while its store is shut down is there before its
// Connect returns, and does not hold the shutdown up.
func TestConnectDuringShutdown(t *testing.T) {
	s, f := spawnFaulty(t)
	ctx := testContext(t)
	connected, goOn := make(chan struct{}), make(chan struct{})
	f.connected = func(id string) {
		if id == "late" {
			close(connected)
			<-goOn
		}
	}
	late := make(chan ipcmgr.Client, 1)
	go func() {
		c, _ := s.Connect(ctx, "late")
		late <- c
	}()
	<-connected
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(ctx) }()
	for ; !f.delivered.Load(); runtime.Gosched() { // until it has asked the client to terminate
		require.NoError(t, ctx.Err())
	}
	close(goOn)
	c := <-late
	require.NotNil(t, c)
	require.NoError(t, <-ended)
	require.ErrorIs(t, c.Send(ctx, "late", 1), ipcmgr.ErrClosed)
}

// slow is content that takes long to decode.
type slow struct{ decode func() }

func (slow) MarshalJSON() ([]byte, error) { return []byte(`"slow"`), nil }

func (s *slow) UnmarshalJSON([]byte) error {
	s.decode()
	return nil
}

// What is being decoded stays in the store until that is done, whoever
// acknowledges or rejects it, or leaves.
func TestDecodingHoldsUpSettling(t *testing.T) {
	for name, settle := range map[string]func(ctx context.Context, c ipcmgr.Client, m *ipcmgr.Message) error{
		"Ack":    func(ctx context.Context, _ ipcmgr.Client, m *ipcmgr.Message) error { return m.Ack(ctx) },
		"Reject": func(ctx context.Context, _ ipcmgr.Client, m *ipcmgr.Message) error { return m.Reject(ctx, nil) },
		"Receive": func(ctx context.Context, c ipcmgr.Client, _ *ipcmgr.Message) error {
			_, err := c.Receive(ctx)
			return err
		},
		"Suspend": func(ctx context.Context, c ipcmgr.Client, _ *ipcmgr.Message) error {
			return c.Suspend(ctx, time.Time{})
		},
		"Disconnect": func(ctx context.Context, c ipcmgr.Client, _ *ipcmgr.Message) error {
			return c.Disconnect(ctx, func(*ipcmgr.Message) error { return nil })
		},
		"Requeue and Suspend": func(ctx context.Context, c ipcmgr.Client, m *ipcmgr.Message) error {
			return errors.Join(m.Requeue(), c.Suspend(ctx, time.Time{}))
		},
	} {
		held := func(t *testing.T, putBack bool) {
			s, f := spawnFaulty(t)
			ctx := testContext(t)
			a := connect(t, s, "a")
			send(t, a, "a", slow{})
			m, err := a.Receive(ctx)
			require.NoError(t, err)
			if putBack {
				require.NoError(t, m.Requeue())
				m, err = a.Receive(ctx)
				require.NoError(t, err)
			}
			send(t, a, "a", "next")
			settled := make(chan error, 1)
			require.NoError(t, m.Decode(&slow{func() {
				f.decoding.Store(true)
				go func() { settled <- settle(ctx, a, m) }()
				for _, err := m.Content(); err == nil; _, err = m.Content() { // until it is settled, or about to be
					runtime.Gosched()
				}
				for range 1000 {
					runtime.Gosched()
				}
				f.decoding.Store(false)
			}}))
			require.NoError(t, <-settled)
			require.False(t, f.tooEarly.Load(), "the store was told while the message was being decoded")
		}
		t.Run(name, func(t *testing.T) { held(t, false) })
		t.Run(name+" after Requeue", func(t *testing.T) { held(t, true) })
	}
}

// Attributes that are refused, or could not be published, change nothing.
func TestAttributesThatAreRefused(t *testing.T) {
	s, f := spawnFaulty(t)
	ctx := testContext(t)
	a := connect(t, s, "a", ipcmgr.Attrs(map[string]string{"k": "v"}))
	require.ErrorContains(t, a.SetAttrs(ctx, map[string]string{"k": "\xff"}), "UTF-8")
	_, err := s.Connect(ctx, "b", ipcmgr.Attrs(map[string]string{"\xff": ""}))
	require.ErrorContains(t, err, "UTF-8")
	full := errors.New("the disk is full")
	set(&f.publish, full)
	require.ErrorIs(t, a.SetAttrs(ctx, map[string]string{"k": "w"}), full)
	set(&f.publish, nil)
	require.Equal(t, map[string]string{"k": "v"}, a.Attrs())
	require.NoError(t, a.WriteStats(ctx))
	p, err := s.Peer(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"k": "v"}, p.Attrs)
}

// What a mailbox keeps that nobody can count makes its pairs unknown, and holds
// up nothing.
func TestAuditOfAMailboxThatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := spawnFaulty(t)
		ctx := testContext(t)
		a, b := connect(t, s, "a"), connect(t, s, "b")
		send(t, a, "b", "one")
		require.NoError(t, b.Suspend(ctx, time.Time{}))
		f.held.Store(true)
		audit, err := s.Audit(ctx)
		require.NoError(t, err)
		require.Len(t, audit.Pairs, 1)
		require.Equal(t, ipcmgr.Unknown, audit.Pairs[0].Verdict)
		require.Contains(t, audit.Pairs[0].Reason, "keeps is not known")
		f.held.Store(false)
		audit, err = s.Audit(ctx)
		require.NoError(t, err)
		require.Equal(t, ipcmgr.Unread, audit.Pairs[0].Verdict)
		require.ErrorContains(t, s.Shutdown(ctx), `"a" to "b": dropped: 1 sent, 0 read, 1 dropped`)
	})
}
