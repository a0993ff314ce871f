// Package roster is what every store on a directory has around its mailboxes:
// its place and its settings, its owner, the records of its clients and whether
// they live. A protocol adds the mailboxes themselves.
//
// All of a store but what foreign programs read stands in ROUTE/.ipcmgr:
//
//	store    the version, the protocol, the settings
//	owner    the handle that owns the store; absent if none does
//	ending   stands there when the store takes no more clients
//	lock     held by whoever changes the owner, enters, leaves or unspawns
//	procs/   one locked file per process that is owner or client: its proof of life
//	peers/   one record per id
//	box/     one mailbox per id, by its protocol
//	tmp/     files being written
//	corrupt/ what was damaged, set aside
//
// Nothing in it is trusted: sizes are bounded, no link is followed, and a
// damaged record is that of a client that crashed.
package roster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/perl"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Dot is the one directory below a route where everything of ours is.
const Dot = ".ipcmgr"

// Kind is what one protocol asks of its stores.
type Kind struct {
	Protocol string
	Dirs     []string                       // made below Dot at Spawn, besides those of every store
	Check    func(route string) error       // why a route cannot be used, or nil; nil = any can
	Perl     func(route string) *perl.Route // nil where no foreign program shares the route
	FS       disk.FS                        // nil = disk.Real
	Memory   string                         // a directory in memory, where temporary stores go if not elsewhere; "" = none
}

// Spawn makes an empty store at route, whole or not at all, and owns it. An
// empty route is a temporary place. ErrStoreExists if ours or Perl's is there.
func (k *Kind) Spawn(ctx context.Context, route string, s protocol.Settings) (*Roster, error) {
	r, err := k.spawn(ctx, route, s)
	return r, k.fail(ctx, "spawn", "", err)
}

func (k *Kind) spawn(ctx context.Context, route string, s protocol.Settings) (*Roster, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.Temporary = route == ""
	if s.Temporary {
		_, _ = k.Collect(ctx) // in passing: who wants to know calls it
		return k.spawnTemporary(ctx, s)
	}
	if err := k.check(route); err != nil {
		if _, there := os.Lstat(filepath.Join(route, Dot)); there == nil { // which is the nearer reason
			err = fmt.Errorf("%w: %s", protocol.ErrStoreExists, route)
		}
		return nil, err
	}
	made, err := k.makeRoute(route, s.Sync)
	if err != nil {
		return nil, err
	}
	r, err := k.spawnIn(ctx, route, s, made)
	if err != nil && made {
		err = errors.Join(err, removeEmpty(filepath.Clean(route)))
	}
	return r, err
}

func (k *Kind) spawnIn(ctx context.Context, route string, s protocol.Settings, made bool) (*Roster, error) {
	dir, err := k.openRoute(route)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if _, err := dir.Stat(Dot); err == nil && !clearRubble(ctx, dir) {
		return nil, fmt.Errorf("%w: %s", protocol.ErrStoreExists, route)
	}
	if k.Perl != nil {
		there, err := k.foreign(route, s.Sync).Holds()
		if err != nil {
			return nil, err
		}
		if there {
			return nil, fmt.Errorf("%w: %s is that of a Perl program: join it", protocol.ErrStoreExists, route)
		}
	}
	k.clear(filepath.Clean(route))
	own, err := k.build(ctx, dir, head{Version: version, Protocol: k.Protocol, Settings: s, Made: made}, true)
	if err != nil {
		return nil, err
	}
	r, err := k.open(route)
	if err != nil {
		return nil, errors.Join(err, demolish(ctx, dir, own))
	}
	r.own = own
	return r, nil
}

// Join opens the store at route. If only foreign programs have been there, ours
// is made beside theirs: persistent, and without an owner.
func (k *Kind) Join(ctx context.Context, route string, s protocol.Settings) (*Roster, error) {
	r, err := k.join(ctx, route, s)
	return r, k.fail(ctx, "join", "", err)
}

func (k *Kind) join(ctx context.Context, route string, s protocol.Settings) (*Roster, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r, err := k.open(route)
	if !errors.Is(err, protocol.ErrNoStore) {
		return r, err
	}
	if err := k.check(route); err != nil {
		return nil, err
	}
	dir, openErr := k.openRoute(route)
	if errors.Is(openErr, fs.ErrNotExist) {
		return nil, err
	}
	if openErr != nil {
		return nil, openErr
	}
	defer dir.Close()
	s.Temporary = false
	_, err = k.build(ctx, dir, head{Version: version, Protocol: k.Protocol, Settings: s}, false)
	if err != nil && !errors.Is(err, protocol.ErrStoreExists) { // another joins, too
		return nil, err
	}
	return k.open(route)
}

// Open gives a handle on the store at route. ErrNoStore, ErrVersion.
func (k *Kind) Open(ctx context.Context, route string) (*Roster, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r, err := k.open(route)
	return r, k.fail(ctx, "open", "", err)
}

func (k *Kind) fs() disk.FS {
	if k.FS != nil {
		return k.FS
	}
	return disk.Real
}

// foreign is the Perl side of a route.
func (k *Kind) foreign(route string, sync bool) *perl.Route {
	r := k.Perl(route)
	r.FS, r.Sync = k.fs(), sync
	return r
}

func (k *Kind) check(route string) error {
	if err := CheckRoute(route); err != nil || k.Check == nil {
		return err
	}
	return k.Check(route)
}

// fail says what could not be done, unless ctx is why.
func (k *Kind) fail(ctx context.Context, op, peer string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
		return cause
	}
	if errors.Is(err, fs.ErrClosed) && !errors.Is(err, protocol.ErrClosed) {
		err = fmt.Errorf("handle: %w", protocol.ErrClosed)
	}
	return &protocol.Error{Op: op, Protocol: k.Protocol, Peer: peer, Err: err}
}
