package robustness

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Random verbs, in any order, with crashes between them: whatever is done, a
// store does what the model says.
func TestModel(t *testing.T) {
	for _, name := range trial.Viable(protocol.Names()...) {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_RUNTIME_DIR", trial.Place(t, name))
			rapid.Check(t, func(rt *rapid.T) {
				m := newMachine(rt, name)
				defer m.end()
				rt.Repeat(rapid.StateMachineActions(m))
			})
		})
	}
}

// machine drives a store and the model of it.
type machine struct {
	store   *ipcmgr.Store
	model   *model
	clients map[string]*mortal
	manual  map[string]bool
	held    map[*item]*ipcmgr.Message
	sent    int
	full    int // messages that a mailbox holds
	stop    context.CancelFunc
	ctx     context.Context
}

func newMachine(t *rapid.T, name string) *machine {
	full := rapid.SampledFrom([]int{8, 1 << 16}).Draw(t, "max_pending")
	ser := rapid.SampledFrom([]string{"json", "msgpack"}).Draw(t, "serializer")
	s, err := ipcmgr.Spawn(context.Background(), ipcmgr.Config{Protocol: ipcmgr.Names{name}, Serializer: ser, MaxPending: full})
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{
		store: s, model: newModel(s.Features().Redelivers), full: full,
		clients: map[string]*mortal{}, manual: map[string]bool{}, held: map[*item]*ipcmgr.Message{},
	}
	m.ctx, m.stop = context.WithTimeout(context.Background(), stuck)
	return m
}

func (m *machine) end() {
	for _, c := range m.clients {
		_ = c.Disconnect(m.ctx, nil) // what is unread is nobody's business any more
	}
	m.stop()                    // waits for nobody, even if a failure has left somebody
	_ = m.store.Shutdown(m.ctx) // nor is what an audit says after crashes
}

var names = []string{"a", "b"}

func (m *machine) draw(t *rapid.T, what string) string { return rapid.SampledFrom(names).Draw(t, what) }

// present draws a client that is connected. It skips before it draws anything:
// the machine takes a later skip for a step that came to nothing.
func (m *machine) present(t *rapid.T) (string, *mortal, *box) {
	ids := slices.Sorted(maps.Keys(m.clients))
	if len(ids) == 0 {
		t.Skip("nobody")
	}
	id := rapid.SampledFrom(ids).Draw(t, "client")
	return id, m.clients[id], m.model.box(id)
}

// inHand draws a message that is handed out.
func (m *machine) inHand(t *rapid.T) (*box, *item, *ipcmgr.Message) {
	var ids []string
	for _, id := range names {
		if len(m.model.box(id).hand) > 0 {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		t.Skip("nothing in hand")
	}
	b := m.model.box(rapid.SampledFrom(ids).Draw(t, "client"))
	i := rapid.SampledFrom(b.hand).Draw(t, "message")
	return b, i, m.held[i]
}

func must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Check compares the list of peers.
func (m *machine) Check(t *rapid.T) {
	peers, err := m.store.Peers(m.ctx)
	must(t, err)
	got := map[string]string{}
	for _, p := range peers {
		got[p.ID] = p.State.String()
	}
	for _, id := range names {
		if state := m.model.box(id).state; got[id] != state {
			t.Fatalf("%s is %q to its peers, and should be %q", id, got[id], state)
		}
	}
}

func (m *machine) Connect(t *rapid.T) {
	id := m.draw(t, "client")
	b := m.model.box(id)
	mode := rapid.SampledFrom([]string{"new", "resume", "fresh"}).Draw(t, "mode")
	manual := rapid.Bool().Draw(t, "manual")
	var opts []ipcmgr.ConnectOption
	if manual {
		opts = append(opts, ipcmgr.ManualAck())
	}
	switch mode {
	case "resume":
		opts = append(opts, ipcmgr.Resume())
	case "fresh":
		opts = append(opts, ipcmgr.Fresh())
	}
	c, err := dieable(m.store, id, opts...)
	refusal := map[string]error{active: ipcmgr.ErrPeerActive, suspended: ipcmgr.ErrPeerSuspended, crashed: ipcmgr.ErrPeerCrashed}[b.state]
	if b.state == "" || b.state != active && mode != "new" {
		refusal = nil
	}
	if !errors.Is(err, refusal) {
		t.Fatalf("connect %s as %q, %s: %v, want %v", b.state, id, mode, err, refusal)
	}
	if err != nil {
		return
	}
	if mode == "fresh" && b.state != "" {
		m.model.leave(id)
	}
	m.model.box(id).state = active
	m.clients[id], m.manual[id] = c, manual
}

func (m *machine) Send(t *rapid.T) {
	from, c, _ := m.present(t)
	to := m.draw(t, "to")
	before := m.model.box(to).pending()
	err := c.TrySend(m.ctx, to, m.sent)
	if m.refused(t, to, before, err) {
		return
	}
	m.model.send(from, to, m.sent)
	m.sent++
}

// refused says whether a message to a peer was, and holds that it rightly was.
func (m *machine) refused(t *rapid.T, to string, pending int, err error) bool {
	ok := m.model.accepts(to)
	switch {
	case err == nil && ok:
		return false
	case errors.Is(err, ipcmgr.ErrFull) && ok && pending >= m.full:
	case errors.Is(err, ipcmgr.ErrFull) && ok && !m.model.keeps: // over a stream, who is slow to take in looks full
	case !ok && (errors.Is(err, ipcmgr.ErrNoPeer) || errors.Is(err, ipcmgr.ErrPeerGone) || errors.Is(err, ipcmgr.ErrPeerCrashed)):
	default:
		t.Fatalf("send to %q, who is %q with %d messages: %v", to, m.model.box(to).state, pending, err)
	}
	return true
}

func (m *machine) SendBatch(t *rapid.T) {
	from, c, _ := m.present(t)
	to := m.draw(t, "to")
	contents := make([]any, rapid.IntRange(1, 5).Draw(t, "messages"))
	for n := range contents {
		contents[n] = m.sent + n
	}
	pending := m.model.box(to).pending()
	if m.model.accepts(to) && pending+len(contents) > m.full {
		return // it might wait for room
	}
	n, err := c.SendBatch(m.ctx, to, contents...)
	if m.refused(t, to, pending, err) {
		if n != 0 {
			t.Fatalf("%d messages of a batch that was refused are accepted", n)
		}
		return
	}
	if n != len(contents) {
		t.Fatalf("%d of %d messages are accepted, and there is no error", n, len(contents))
	}
	for range contents {
		m.model.send(from, to, m.sent)
		m.sent++
	}
}

func (m *machine) Receive(t *rapid.T) {
	id, c, b := m.present(t)
	if !m.manual[id] {
		b.settle()
	}
	settled := b.settled
	most := rapid.IntRange(1, 6).Draw(t, "most")
	ms, err := c.Poll(m.ctx, most)
	must(t, err)
	for _, msg := range ms {
		m.got(t, b, msg)
	}
	if len(ms) == most {
		return
	}
	must(t, b.empty())
	if len(settled) == len(b.settled) {
		b.record() // an empty mailbox was looked into, and before that comes the record
	}
}

// got checks a message that is handed out.
func (m *machine) got(t *rapid.T, b *box, msg *ipcmgr.Message) {
	t.Helper()
	var n int
	must(t, msg.Decode(&n))
	must(t, b.receive(msg.From, n, msg.Redelivered))
	m.held[b.hand[len(b.hand)-1]] = msg
}

// Settle acknowledges, rejects or puts back.
func (m *machine) Settle(t *rapid.T) {
	b, i, msg := m.inHand(t)
	switch rapid.SampledFrom([]string{"ack", "reject", "requeue"}).Draw(t, "how") {
	case "ack":
		must(t, msg.Ack(m.ctx))
		b.take(i)
	case "reject":
		must(t, msg.Reject(m.ctx, errors.New("not wanted")))
		b.take(i)
	case "requeue":
		must(t, msg.Requeue())
		b.requeue(i)
	}
}

// Leave is one step for all ways of leaving, so that a client is there for
// some steps before it does.
func (m *machine) Leave(t *rapid.T) {
	id, c, b := m.present(t)
	switch rapid.SampledFrom([]string{"crash", "suspend", "disconnect"}).Draw(t, "how") {
	case "crash":
		must(t, c.crash())
		m.model.crash(id)
	case "suspend":
		if !m.suspend(t, c, b) {
			return
		}
	case "disconnect":
		m.disconnect(t, c, b)
		m.model.leave(id)
	}
	delete(m.clients, id)
}

// suspend says whether the client has left.
func (m *machine) suspend(t *rapid.T, c *mortal, b *box) bool {
	err := c.Suspend(m.ctx, time.Time{})
	if !m.store.Features().Suspends {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Fatalf("suspend: %v", err)
		}
		return false
	}
	must(t, err)
	b.suspend()
	return true
}

func (m *machine) disconnect(t *rapid.T, c *mortal, b *box) {
	var handler func(*ipcmgr.Message) error
	if rapid.Bool().Draw(t, "handler") {
		handler = func(msg *ipcmgr.Message) error {
			m.got(t, b, msg)
			return nil
		}
	}
	least, most := b.unread()
	err := c.Disconnect(m.ctx, handler)
	if handler != nil {
		must(t, err)
		must(t, b.empty())
	} else {
		m.dropped(t, err, least, most)
	}
}

// dropped holds that what was unread is told, by sender.
func (m *machine) dropped(t *rapid.T, err error, least, most map[string]int) {
	unread := &ipcmgr.UnreadError{}
	if err != nil && !errors.As(err, &unread) {
		t.Fatal(err)
	}
	for _, id := range slices.Concat(names, []string{""}) {
		if n := int(unread.From[id]); n < least[id] || n > most[id] {
			t.Fatalf("disconnect tells of %d unread messages from %q, and there are %d to %d", n, id, least[id], most[id])
		}
	}
}
