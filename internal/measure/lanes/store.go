package lanes

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/measure"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// Store is a lane over a temporary store of ipcmgr.
type Store struct {
	Protocol, Serializer string
	Sync                 bool // as Config.Sync
	Idle                 int  // other clients that are connected and say nothing
}

const syncSuffix, idleSuffix = "sync", "idle"

// Name is what parse reads: fsqueue+msgpack, bbolt+json sync, shm+msgpack
// 200 idle.
func (s Store) Name() string {
	name := s.Protocol + "+" + s.Serializer
	if s.Sync {
		name += " " + syncSuffix
	}
	if s.Idle > 0 {
		name += " " + strconv.Itoa(s.Idle) + " " + idleSuffix
	}
	return name
}

// parse reads the name of a lane.
func parse(name string) (s Store, err error) {
	words := strings.Fields(name)
	if len(words) == 0 {
		return s, errors.New("a lane without a name")
	}
	s.Protocol, s.Serializer, _ = strings.Cut(words[0], "+")
	words = words[1:]
	if len(words) > 0 && words[0] == syncSuffix {
		s.Sync, words = true, words[1:]
	}
	if len(words) == 2 && words[1] == idleSuffix {
		if s.Idle, err = strconv.Atoi(words[0]); err != nil {
			return s, err
		}
		words = nil
	}
	if len(words) > 0 || s.Name() != name {
		return s, fmt.Errorf("there is no lane %q", name)
	}
	return s, nil
}

// Stores lists the lanes over one protocol and serializer: without sync, and
// with it where the protocol can.
func Stores(proto, ser string) ([]Store, error) {
	p, err := protocol.Get(proto)
	if err != nil {
		return nil, err
	}
	if _, err := serializer.Get(ser); err != nil {
		return nil, err
	}
	all := []Store{{Protocol: proto, Serializer: ser}}
	if p.Features().Syncs {
		all = append(all, Store{Protocol: proto, Serializer: ser, Sync: true})
	}
	return all, nil
}

// durable says what becomes of an accepted message.
func (s Store) durable(f protocol.Features) string {
	switch {
	case f.Remote:
		return "as the server keeps it"
	case !f.Suspends:
		return measure.InFlight
	case s.Sync:
		return measure.Synced
	}
	return measure.Unsynced
}

// memory says whether it keeps its messages in memory only.
func memory(f protocol.Features) bool { return f.Suspends && !f.Syncs && !f.Remote }

// The clients.
const (
	hostID   = "host"
	joinerID = "join"
)

// Lane gives it.
func (s Store) Lane() (measure.Lane, error) {
	p, err := protocol.Get(s.Protocol)
	if err != nil {
		return measure.Lane{}, err
	}
	f := p.Features()
	l := measure.Lane{Name: s.Name(), Durable: s.durable(f), Memory: memory(f), Host: s.host, Join: s.join}
	if s.Idle > 0 {
		l.Serve = s.serve
	}
	return l, nil
}

func (s Store) spawn(ctx context.Context) (*ipcmgr.Store, error) {
	cfg := ipcmgr.Config{Protocol: ipcmgr.Names{s.Protocol}, Serializer: s.Serializer}
	if s.Sync {
		cfg.Sync = &s.Sync
	}
	return ipcmgr.Spawn(ctx, cfg)
}

// host connects the client that sends, to a store that it spawns or that serve
// has spawned.
func (s Store) host(ctx context.Context, p measure.Place) (string, func() (measure.End, error), error) {
	var store *ipcmgr.Store
	var err error
	if p.Addr == "" {
		store, err = s.spawn(ctx)
	} else {
		store, err = ipcmgr.Open(ctx, p.Addr)
	}
	if err != nil {
		return "", nil, err
	}
	c, err := store.Connect(ctx, hostID)
	if err != nil {
		return "", nil, errors.Join(err, store.Close())
	}
	return store.Info().String(), func() (measure.End, error) {
		if err := store.WaitPeer(ctx, joinerID); err != nil {
			return nil, err
		}
		return s.end(ctx, c, joinerID)
	}, nil
}

func (s Store) join(ctx context.Context, p measure.Place) (measure.End, error) {
	store, err := ipcmgr.Open(ctx, p.Addr)
	if err != nil {
		return nil, err
	}
	c, err := store.Connect(ctx, joinerID)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return s.end(ctx, c, hostID)
}

// end is that of a client that every idle one has said hello to.
func (s Store) end(ctx context.Context, c ipcmgr.Client, peer string) (measure.End, error) {
	for range s.Idle {
		if _, err := c.Receive(ctx); err != nil {
			return nil, err
		}
	}
	return &client{ctx: ctx, client: c, peer: peer}, nil
}

// serve owns a store with idle clients. Each has said hello to both ends, so
// that there is all between them that there ever is.
func (s Store) serve(ctx context.Context, _ measure.Place) (string, func() error, error) {
	store, err := s.spawn(ctx)
	if err != nil {
		return "", nil, err
	}
	crowd := make([]ipcmgr.Client, s.Idle)
	for i := range crowd {
		if crowd[i], err = store.Connect(ctx, "idle"+strconv.Itoa(i)); err != nil {
			return "", nil, errors.Join(err, store.Close())
		}
	}
	greeted := make(chan error, 1)
	go func() { greeted <- greet(ctx, store, crowd) }()
	return store.Info().String(), func() error {
		err := <-greeted
		return errors.Join(err, store.Close())
	}, nil
}

func greet(ctx context.Context, store *ipcmgr.Store, crowd []ipcmgr.Client) error {
	if err := store.WaitPeer(ctx, hostID, joinerID); err != nil {
		return err
	}
	for _, c := range crowd {
		for _, to := range []string{hostID, joinerID} {
			if err := c.Send(ctx, to, "hello"); err != nil {
				return err
			}
		}
	}
	return nil
}
