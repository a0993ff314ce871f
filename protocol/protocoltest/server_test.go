package protocoltest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/mem"
)

// server has the stores of mem that relays reach.
type server struct {
	mu    sync.Mutex
	users map[string]int            // open handles, by route
	pids  map[string]map[string]int // who holds what, by route and id
	keep  map[string]protocol.Store // a handle on each temporary store, to collect it
}

func (sv *server) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s := &session{sv: sv, out: json.NewEncoder(conn), calls: map[uint64]context.CancelFunc{}}
		go s.run(conn)
	}
}

// session is one connection: a handle and its clients.
type session struct {
	sv    *server
	mu    sync.Mutex
	out   *json.Encoder
	calls map[uint64]context.CancelFunc
	store protocol.Store
	boxes []protocol.Mailbox
}

func (s *session) run(conn net.Conn) {
	defer conn.Close()
	in := json.NewDecoder(conn)
	for {
		var q request
		if in.Decode(&q) != nil {
			break
		}
		if q.Cancel > 0 {
			s.mu.Lock()
			if cancel := s.calls[q.Cancel]; cancel != nil {
				cancel()
			}
			s.mu.Unlock()
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		s.mu.Lock()
		s.calls[q.N] = cancel
		s.mu.Unlock()
		go func() {
			a, err := s.do(ctx, q)
			a.N = q.N
			if err != nil {
				a.Err = err.Error()
				for i, target := range sentinels {
					if errors.Is(err, target) {
						a.Is = append(a.Is, i)
					}
				}
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.calls, q.N)
			cancel()
			s.out.Encode(a)
		}()
	}
	s.close()
}

func (s *session) close() {
	s.mu.Lock()
	st := s.store
	s.store = nil
	s.mu.Unlock()
	if st == nil {
		return
	}
	st.Close()
	s.sv.mu.Lock()
	s.sv.users[st.Route()]--
	s.sv.mu.Unlock()
}

// box gives a client by the number that it was given.
func (s *session) box(n int) protocol.Mailbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.boxes[n]
}

func (s *session) do(ctx context.Context, q request) (a answer, err error) {
	switch q.Op {
	case "spawn", "open":
		var st protocol.Store
		if q.Op == "spawn" {
			st, err = mem.Protocol{}.Spawn(ctx, q.Route, q.Settings)
		} else {
			st, err = mem.Protocol{}.Open(ctx, q.Route)
		}
		if err == nil {
			s.enter(st)
			a.Route, a.Settings = st.Route(), st.Settings()
		}
		return a, err
	case "collect":
		a.Routes = s.sv.collect()
		return a, nil
	case "close":
		s.close()
		return a, nil
	}
	s.mu.Lock()
	st := s.store
	s.mu.Unlock()
	if st == nil {
		return a, protocol.ErrClosed
	}
	switch q.Op {
	case "connect":
		m, err := st.Connect(ctx, protocol.ConnectOptions{ID: q.ID, Mode: q.Mode, Attrs: q.Attrs})
		if err != nil {
			return a, err
		}
		a.Epoch, a.Found = m.Epoch(), m.Found()
		attrs, stats := m.Left()
		a.Attrs, a.Stats = attrs, map[string][]byte{"": stats}
		s.sv.holds(st.Route(), q.ID, q.PID)
		s.mu.Lock()
		defer s.mu.Unlock()
		a.Box = len(s.boxes)
		s.boxes = append(s.boxes, m)
	case "peers":
		a.Peers, a.Rev, err = st.Peers(ctx)
		s.sv.sign(st.Route(), a.Peers)
	case "changed":
		err = st.Changed(ctx, q.Rev)
	case "stats":
		a.Stats, err = st.Stats(ctx)
	case "unread":
		a.Count, err = st.Unread(ctx, q.ID)
	case "own":
		err = st.Own(ctx, q.Force)
	case "owned":
		a.Yes = st.Owned()
	case "disown":
		err = st.Disown(ctx)
	case "end":
		err = st.End(ctx)
	case "unspawn":
		err = st.Unspawn(ctx)
	default:
		return s.mail(ctx, q)
	}
	return a, err
}

// mail does what is asked of a client.
func (s *session) mail(ctx context.Context, q request) (a answer, err error) {
	m := s.box(q.Box)
	switch q.Op {
	case "deliver":
		frames := make([]protocol.Frame, len(q.Frames))
		for i, data := range q.Frames {
			frames[i].Data = data
		}
		a.Count, err = m.Deliver(ctx, q.ID, frames, q.Wait)
	case "fetch":
		a.Ds = make([]protocol.Delivery, q.Max)
		a.Count, err = m.Fetch(ctx, a.Ds, q.Wait)
		a.Ds = a.Ds[:a.Count]
	case "ack":
		err = m.Ack(ctx, q.Ds)
	case "reject":
		err = m.Reject(ctx, q.Ds[0], errors.New("rejected"))
	case "publish":
		err = m.Publish(ctx, q.Attrs, q.Stats)
	case "seal":
		err = m.Seal(ctx)
	case "leave":
		d := protocol.Departure{Suspend: q.Suspend, Until: q.Until, Back: q.Ds, Stats: q.Stats, Under: q.Under}
		if q.Folded {
			d.Fold = func([]byte) ([]byte, error) {
				if q.Refused {
					return nil, errors.New("refused")
				}
				return q.Stats, nil
			}
		}
		err = m.Leave(ctx, d)
	default:
		err = errors.ErrUnsupported
	}
	return a, err
}

func (s *session) enter(st protocol.Store) {
	s.mu.Lock()
	s.store = st
	s.mu.Unlock()
	s.sv.mu.Lock()
	defer s.sv.mu.Unlock()
	s.sv.users[st.Route()]++
	if st.Settings().Temporary && s.sv.keep[st.Route()] == nil {
		s.sv.keep[st.Route()], _ = mem.Protocol{}.Open(context.Background(), st.Route())
	}
}

func (sv *server) collect() (gone []string) {
	sv.mu.Lock()
	defer sv.mu.Unlock()
	for route, st := range sv.keep {
		if sv.users[route] > 0 {
			continue
		}
		delete(sv.keep, route)
		if st.Unspawn(context.Background()) == nil {
			gone = append(gone, route)
		}
	}
	return gone
}

func (sv *server) holds(route, id string, pid int) {
	sv.mu.Lock()
	defer sv.mu.Unlock()
	if sv.pids[route] == nil {
		sv.pids[route] = map[string]int{}
	}
	sv.pids[route][id] = pid
}

// sign replaces the server's pid, which mem gives, by that of each peer.
func (sv *server) sign(route string, peers []protocol.Peer) {
	sv.mu.Lock()
	defer sv.mu.Unlock()
	for i := range peers {
		peers[i].PID = sv.pids[route][peers[i].ID]
	}
}
