package ipctest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ipcmgr/ipcmgr"
)

// The attributes by which a barrier works. They cost no message, so they
// disturb nothing that a test counts.
const (
	attrReached = "ipctest.reached." // of a worker: its pid
	attrOpen    = "ipctest.open."    // of the test's client
)

// Barrier waits until each of the peers has called Reach with the name, and
// then lets all of them go on. The test fails at once when a worker has crashed
// unasked. c is a client of the test, which must stay until the last
// of them has gone on. Each name is good for one barrier.
func Barrier(t testing.TB, c ipcmgr.Client, name string, ids ...string) {
	t.Helper()
	if _, open := c.Attrs()[attrOpen+name]; open {
		t.Fatalf("ipctest: the barrier %q is open already: give each one its own name", name)
	}
	ctx, cancel := sceneOf(t, c.Store()).waiting(t)
	defer cancel()
	missing := ids
	err := c.Store().WaitUntil(ctx, func(peers []ipcmgr.Peer) bool {
		missing = slices.Clone(ids)
		for _, p := range peers {
			// A crashed peer that is taken up keeps its attributes.
			if p.State == ipcmgr.Active && p.Attrs[attrReached+name] == strconv.Itoa(p.PID) {
				missing = slices.DeleteFunc(missing, func(id string) bool { return id == p.ID })
			}
		}
		return len(missing) == 0
	})
	if err != nil {
		t.Fatalf("ipctest: the barrier %q was not reached by %s: %v", name, strings.Join(missing, ", "), err)
	}
	if err := setAttr(ctx, c, attrOpen+name, "yes"); err != nil {
		t.Fatalf("ipctest: barrier %q: %v", name, err)
	}
}

// Reach says that the client has come to a barrier, and blocks until the test
// opens it. It sets an attribute of the client: another goroutine should not
// set attributes at the same time.
func Reach(ctx context.Context, c ipcmgr.Client, name string) error {
	self, err := c.Store().Peer(ctx, c.ID())
	if err == nil {
		err = setAttr(ctx, c, attrReached+name, strconv.Itoa(self.PID))
	}
	if err == nil {
		err = c.Store().WaitUntil(ctx, func(peers []ipcmgr.Peer) bool {
			return slices.ContainsFunc(peers, func(p ipcmgr.Peer) bool { return p.Attrs[attrOpen+name] != "" })
		})
	}
	if err != nil {
		return fmt.Errorf("barrier %q: %w", name, err)
	}
	return nil
}

func setAttr(ctx context.Context, c ipcmgr.Client, key, value string) error {
	attrs := c.Attrs()
	if attrs == nil {
		attrs = map[string]string{}
	}
	attrs[key] = value
	return c.SetAttrs(ctx, attrs)
}
