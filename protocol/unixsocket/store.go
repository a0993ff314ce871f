//go:build unix

package unixsocket

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipcmgr/ipcmgr/internal/perl"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

const (
	addressLimit = 104 // bytes of a socket's address, with its final zero, on every system
	shortestName = 42  // what a hashed name needs
)

var kind = &roster.Kind{Protocol: Name, Check: checkRoute, Perl: shared}

// viable says what is missing here.
func viable() error {
	fd, err := newSocket()
	if err != nil {
		return fmt.Errorf("%s: %w", Name, err)
	}
	c := newConn(fd)
	defer c.close()
	if _, _, err := credentials(fd); errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("%s: a socket does not tell here who is at its other end; use the protocol fsqueue: %w", Name, err)
	}
	return nil
}

func checkRoute(route string) error {
	if room := nameLimit(route); room < shortestName {
		return fmt.Errorf("the directory %s is too long by %d bytes to hold sockets: with the name of a client (%d bytes) after it, it must fit a socket's address of %d bytes; use a shorter route",
			route, shortestName-room, shortestName, addressLimit)
	}
	return nil
}

func checkSync(s protocol.Settings) error {
	if s.Sync {
		return fmt.Errorf("nothing is written to a disk, so that sync has no meaning: %w", errors.ErrUnsupported)
	}
	return nil
}

func nameLimit(route string) int { return addressLimit - len(route) - 2 }

func shared(route string) *perl.Route {
	return &perl.Route{Dir: route, Max: nameLimit(route), Sockets: true}
}

// store is one handle.
type store struct{ *roster.Roster }

func handle(r *roster.Roster, err error) (protocol.Store, error) {
	if err != nil {
		return nil, err
	}
	return &store{r}, nil
}

func spawn(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	if err := checkSync(s); err != nil {
		return nil, failed("spawn", "", err)
	}
	return handle(kind.Spawn(ctx, route, s))
}

func open(ctx context.Context, route string) (protocol.Store, error) {
	return handle(kind.Open(ctx, route))
}

func join(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	if err := checkSync(s); err != nil {
		return nil, failed("join", "", err)
	}
	return handle(kind.Join(ctx, route, s))
}

func collect(ctx context.Context) ([]string, error) { return kind.Collect(ctx) }

// Connect makes a client of the store.
func (s *store) Connect(ctx context.Context, o protocol.ConnectOptions) (protocol.Mailbox, error) {
	if len(o.Hello) == 0 || len(o.Hello) > helloLimit || o.Who == nil {
		return nil, failed("connect", o.ID, errors.New("the protocol needs a Hello and a Who"))
	}
	m, err := connect(ctx, s, o)
	if err != nil {
		return nil, failed("connect", o.ID, err)
	}
	if !m.entry.Hold(m.abandon) {
		m.abandon()
		return nil, failed("connect", o.ID, protocol.ErrClosed)
	}
	return m, nil
}

// Unread is always 0: nothing is kept for a client that is not there.
func (s *store) Unread(ctx context.Context, id string) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if _, err := s.Look(id); err != nil && !errors.Is(err, protocol.ErrNoPeer) {
		return 0, failed("count the unread of", id, err)
	}
	return 0, nil
}
