package ipctest

import (
	"errors"
	"strings"
	"testing"

	"github.com/ipcmgr/ipcmgr"
)

// client is one that Connect gives.
type client struct {
	view
	marks
}

func newClient(inner ipcmgr.Client) *client {
	c := new(client)
	c.view = view{inner, c.restore}
	return c
}

// Connect connects a client of the test itself. When the test ends it is
// disconnected, if the test did not do that, and the test fails if there is
// something left in its mailbox.
func Connect(t testing.TB, st *ipcmgr.Store, id string, opts ...ipcmgr.ConnectOption) ipcmgr.Client {
	t.Helper()
	s := sceneOf(t, st)
	ctx, cancel := s.waiting(t)
	defer cancel()
	inner, err := st.Connect(ctx, id, opts...)
	if err != nil {
		t.Fatalf("ipctest: %v", err)
	}
	c := newClient(s.record(inner))
	t.Cleanup(func() {
		t.Helper()
		disconnect(t, c)
	})
	return c
}

// disconnect tells what was unread, content and all.
func disconnect(t testing.TB, c ipcmgr.Client) {
	t.Helper()
	ctx, cancel := finishing(t)
	defer cancel()
	var unread []string
	err := c.Disconnect(ctx, func(m *ipcmgr.Message) error {
		unread = append(unread, "\n\t"+oneLine(m))
		return nil
	})
	if err != nil && !errors.Is(err, ipcmgr.ErrClosed) {
		complain(t, "ipctest: %v", err)
	}
	if len(unread) > 0 {
		complain(t, "ipctest: %q was left with unread messages:%s", c.ID(), strings.Join(shorten(unread), ""))
	}
}
