package bbolt

import (
	"context"
	"errors"

	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// store is a handle: the roster with mailboxes.
type store struct{ *roster.Roster }

// Connect makes a client.
func (s *store) Connect(ctx context.Context, o protocol.ConnectOptions) (protocol.Mailbox, error) {
	m := newMailbox(s, o)
	entry, err := s.Enter(ctx, o, func(e *roster.Entry) error { return m.enter(ctx, e) })
	if err != nil {
		m.dispose()
		return nil, err
	}
	m.entry = entry
	if !entry.Hold(m.abandon) {
		m.abandon()
		return nil, failed("connect", o.ID, protocol.ErrClosed)
	}
	return m, nil
}

// Unread counts what a mailbox keeps; nothing where there is none.
func (s *store) Unread(ctx context.Context, id string) (int, error) {
	seen, err := s.Look(id)
	if errors.Is(err, protocol.ErrNoPeer) {
		return 0, nil
	}
	if err != nil {
		return 0, failed("count unread", id, err)
	}
	f, err := s.file(context.Background(), seen.Key, "", func(error) {})
	if err == nil {
		defer f.close()
		n := 0
		count := func(l *ledger) error { //nolint:unparam // what read calls may fail
			n, _ = l.count(f.marks.acknowledged())
			return nil
		}
		err = again(func() error { return f.read(ctx, count) })
		if err == nil {
			return n, nil
		}
	}
	if errors.Is(err, errReplaced) {
		return 0, nil
	}
	return 0, failed("count unread", id, err)
}

// at calls do where the mailboxes are made and removed.
func (s *store) at(do func(*site) error) error {
	site, err := openSite(s.FS(), s.Path("box"), s.Path("tmp"), s.Settings().Sync)
	if err != nil {
		return err
	}
	defer site.close()
	return do(site)
}

// file opens the use of a mailbox's file, for a client that is called by the
// bell in the mailbox caller, or for one operation if that is empty. Who waits
// for the file does so until life ends.
func (s *store) file(life context.Context, key, caller string, notice func(error)) (*file, error) {
	t, err := openTurnstile(s.Path("box"), s.Box(key), caller)
	if err != nil {
		return nil, err
	}
	return &file{
		turnstile: t,
		life:      life,
		durable:   s.Settings().Sync,
		aside:     corrupt.Place{FS: s.FS(), Dir: s.Path("corrupt", key), Sync: s.Settings().Sync},
		notice:    notice,
	}, nil
}
