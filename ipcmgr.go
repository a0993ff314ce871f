// Package ipcmgr exchanges messages between the processes of one machine.
//
// A store is spawned, its info string is handed to other processes, each
// connects as a named client, and they exchange messages. How the store works
// is a protocol (files, unix sockets, a database), how a message is written is
// a serializer (JSON, msgpack); both are chosen by configuration, and no line
// of the program changes when they are swapped. A program imports those it
// wants to choose from, or all of them:
//
//	import (
//		"github.com/ipcmgr/ipcmgr"
//		_ "github.com/ipcmgr/ipcmgr/protocol/all"
//		_ "github.com/ipcmgr/ipcmgr/serializer/all"
//	)
//
// A parent spawns a store with Run (or Spawn and Store.Shutdown) and hands
// Store.Info to its children, which Open it. Both Connect, and then Send and
// Receive.
package ipcmgr

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// Spawn makes a store and returns a handle that owns it. ErrStoreExists when
// the configured route holds one.
func Spawn(ctx context.Context, cfg Config) (*Store, error) {
	p, ser, s, err := prepare(cfg)
	if err != nil {
		return nil, fmt.Errorf("spawn: %w", err)
	}
	handle, err := p.Spawn(ctx, cfg.Route, s)
	if err != nil {
		return nil, &Error{Op: "spawn", Store: redactedInfo(p, ser, cfg.Route), Err: err}
	}
	return newStore(p, ser, handle, cfg), nil
}

// Adopt takes over the store at the configured route, whose owner is dead or
// gave it up, with all that is in it; or spawns it if there is none. What the
// store has recorded (limits, sync) stays as it is. ErrOwned while its owner
// lives.
func Adopt(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Route == "" {
		return nil, errors.New("adopt: the configuration names no route: a temporary store dies with its owner")
	}
	for tries := 1; ; tries++ {
		s, exists := Spawn(ctx, cfg)
		if !errors.Is(exists, ErrStoreExists) {
			return s, exists
		}
		s, err := OpenConfig(ctx, cfg)
		if errors.Is(err, ErrNoStore) {
			if tries < 3 {
				continue // unspawned in between
			}
			return nil, exists // a store of another protocol
		}
		if err != nil {
			return nil, err
		}
		if err := s.handle.Own(ctx, false); err != nil {
			return nil, errors.Join(s.wrap("adopt", err), s.Close())
		}
		return s, nil
	}
}

// Open gives a handle on an existing store that does not own it. info is what
// Store.Info gave, or Perl's form of it; "" stands for $IPCMGR_STORE.
// ErrNoStore, ErrVersion.
func Open(ctx context.Context, info string) (*Store, error) {
	if info == "" {
		cfg, err := ConfigFromEnv()
		if err != nil {
			return nil, fmt.Errorf("open: %w", err)
		}
		if info = os.Getenv(EnvStore); info == "" {
			if cfg.Route == "" {
				return nil, fmt.Errorf("open: no store is named: set %s to its info", EnvStore)
			}
			return OpenConfig(ctx, cfg)
		}
	}
	i, err := ParseInfo(info)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	cfg := Config{Protocol: Names{i.Protocol}, Serializer: i.Serializer, Route: i.Route}
	if i.Foreign {
		return join(ctx, cfg)
	}
	return OpenConfig(ctx, cfg)
}

// OpenConfig opens the store at the configured route, which Spawn has made with
// the same Config: with the protocol that it takes. Limits and sync are those
// that the store has recorded.
func OpenConfig(ctx context.Context, cfg Config) (*Store, error) {
	p, ser, _, err := prepare(cfg)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	handle, err := p.Open(ctx, cfg.Route)
	if err != nil {
		return nil, &Error{Op: "open", Store: redactedInfo(p, ser, cfg.Route), Err: err}
	}
	return opened(p, ser, handle, cfg)
}

// join takes part in a store that a foreign program made.
func join(ctx context.Context, cfg Config) (*Store, error) {
	p, ser, s, err := prepare(cfg)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	joiner, ok := p.(protocol.Joiner)
	if !ok {
		return nil, fmt.Errorf("open: %w: %s shares its stores with no foreign program", errors.ErrUnsupported, p.Name())
	}
	handle, err := joiner.Join(ctx, cfg.Route, s)
	if err != nil {
		return nil, &Error{Op: "open", Store: redactedInfo(p, ser, cfg.Route), Err: err}
	}
	return opened(p, ser, handle, cfg)
}

// opened checks that the store is written as the caller expects.
func opened(p protocol.Protocol, ser serializer.Serializer, handle protocol.Store, cfg Config) (*Store, error) {
	s := newStore(p, ser, handle, cfg)
	if recorded := handle.Settings().Serializer; recorded != ser.Name() {
		if cfg.Serializer != "" {
			err := fmt.Errorf("its messages are written with %s, not %s", recorded, ser.Name())
			return nil, errors.Join(s.wrap("open", err), handle.Close())
		}
		recordedSer, err := cfg.serializer(recorded)
		if err != nil {
			return nil, errors.Join(s.wrap("open", err), handle.Close())
		}
		s.ser, s.info.Serializer = recordedSer, recorded
	}
	return s, nil
}

// Run spawns a store, calls f with it, and shuts it down when f returns. The
// error joins that of f, of the shutdown and of the audit. f's context ends
// with ctx; the shutdown has ten seconds, whether or not ctx has ended.
func Run(ctx context.Context, cfg Config, f func(ctx context.Context, s *Store) error) (err error) {
	s, err := Spawn(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return f(ctx, s)
}

// Collect removes the dead temporary stores of every registered protocol and
// returns the routes of those it removed. A temporary store
// is dead when its owner and all its clients are. It signals nobody and touches
// nothing else.
func Collect(ctx context.Context) ([]string, error) {
	var removed []string
	var errs []error
	for _, name := range protocol.Names() {
		p, err := protocol.Get(name)
		if err == nil && p.Viable() == nil {
			var routes []string
			routes, err = p.Collect(ctx)
			removed = append(removed, routes...)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("collect %s: %w", name, err))
		}
	}
	return removed, errors.Join(errs...)
}

// prepare turns a Config into what a protocol is called with.
func prepare(cfg Config) (protocol.Protocol, serializer.Serializer, protocol.Settings, error) {
	if err := cfg.Validate(); err != nil {
		return nil, nil, protocol.Settings{}, err
	}
	p, ser, err := cfg.choose()
	if err != nil {
		return nil, nil, protocol.Settings{}, err
	}
	s, err := cfg.settings(p, ser.Name())
	return p, ser, s, err
}

func redactedInfo(p protocol.Protocol, ser serializer.Serializer, route string) string {
	return Info{Protocol: p.Name(), Serializer: ser.Name(), Route: route}.Redacted()
}
