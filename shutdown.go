package ipcmgr

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/process"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Shutdown ends the store: ErrNotOwner unless this handle owns it. It refuses
// further clients, signals the processes of the others once if Config.Signal
// asks for it, asks the active clients to terminate, disconnects those of this
// process, waits until none is active, audits, and unspawns. ctx bounds the
// waiting; the error then names those that stay. Suspended and crashed clients
// are not waited for. All errors are joined, that of the audit among them.
func (s *Store) Shutdown(ctx context.Context) error {
	if !s.Owned() {
		return s.wrap("shut down", ErrNotOwner)
	}
	errs := []error{s.End(ctx), s.Signal(ctx), s.Terminate(ctx), s.DisconnectClients(ctx), s.Wait(ctx)}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	audit, err := s.Audit(last)
	errs = append(errs, err)
	if err == nil {
		errs = append(errs, s.wrap("shut down", audit.Err()))
	}
	return errors.Join(append(errs, s.dismissGuard(last), s.Unspawn(last), s.drop())...)
}

// End makes every further Connect fail with ErrEnding. ErrNotOwner.
func (s *Store) End(ctx context.Context) error {
	if !s.Owned() {
		return s.wrap("end", ErrNotOwner)
	}
	if _, err := s.summonGuard(ctx); err != nil { // it could not connect any more
		return err
	}
	return s.wrap("end", s.handle.End(ctx))
}

// Signal sends the configured signal once to each other process that has an
// active client; nothing if none is configured. ErrNotOwner.
func (s *Store) Signal(ctx context.Context) error {
	if !s.Owned() {
		return s.wrap("signal", ErrNotOwner)
	}
	if s.signal == nil || s.Features().Remote {
		return nil
	}
	peers, _, err := s.peers(ctx)
	if err != nil {
		return s.wrap("signal", err)
	}
	told := map[int]bool{os.Getpid(): true}
	var errs []error
	for _, p := range peers {
		if p.State != Active || told[p.PID] {
			continue
		}
		told[p.PID] = true
		err := process.Signal(process.ID{PID: p.PID, Start: p.Start}, s.signal)
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, fmt.Errorf("%q (pid %d): %w", p.ID, p.PID, err))
		}
	}
	return s.wrap("signal", errors.Join(errs...))
}

// Terminate asks every active client to terminate: first all that have room in
// their mailboxes, then, waiting, the others. ErrNotOwner.
func (s *Store) Terminate(ctx context.Context) error {
	if !s.Owned() {
		return s.wrap("terminate", ErrNotOwner)
	}
	guard, err := s.summonGuard(ctx)
	if err != nil {
		return err
	}
	peers, _, err := s.peers(ctx)
	if err != nil {
		return s.wrap("terminate", err)
	}
	var to []string
	for _, p := range peers {
		if p.State == Active {
			to = append(to, p.ID)
		}
	}
	sender := &client{store: s, mb: guard, id: protocol.Guard, closing: context.Background()}
	var errs []error
	for id, err := range sender.sendEach(ctx, to, terminateContent) {
		if err != nil && !departed(err) {
			errs = append(errs, fmt.Errorf("%q: %w", id, err))
		}
	}
	return s.wrap("terminate", errors.Join(errs...))
}

// departed says whether an error means that the peer is not there any more,
// which is what Terminate wants.
func departed(err error) bool {
	return errors.Is(err, ErrNoPeer) || errors.Is(err, ErrPeerGone) || errors.Is(err, ErrPeerCrashed)
}

// DisconnectClients disconnects the clients of this process. What was unread
// in their mailboxes counts as dropped, and so shows in the audit.
func (s *Store) DisconnectClients(ctx context.Context) error {
	var errs []error
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, c := range local.of(s.info) {
		wg.Go(func() {
			err := c.Disconnect(ctx, nil)
			var unread *UnreadError
			if errors.As(err, &unread) || errors.Is(err, ErrClosed) {
				return
			}
			mu.Lock()
			errs = append(errs, err)
			mu.Unlock()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// summonGuard connects the guard, unless it is.
func (s *Store) summonGuard(ctx context.Context) (protocol.Mailbox, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.guard != nil {
		return s.guard, nil
	}
	hello, err := s.ser.AppendContent(nil, map[string]string{"hello": protocol.Guard})
	if err != nil {
		return nil, s.wrap("end", err)
	}
	guard, err := s.handle.Connect(ctx, protocol.ConnectOptions{
		ID: protocol.Guard, Mode: protocol.Resume, Hello: hello, Who: s.who, Notice: func(error) {},
	})
	if err != nil {
		return nil, s.wrap("end", err)
	}
	s.guard = guard
	return guard, nil
}

func (s *Store) dismissGuard(ctx context.Context) error {
	s.mu.Lock()
	guard := s.guard
	s.guard = nil
	s.mu.Unlock()
	if guard == nil {
		return nil
	}
	return s.wrap("end", leaveGuard(ctx, guard))
}

// leaveGuard leaves no record of the guard.
func leaveGuard(ctx context.Context, guard protocol.Mailbox) error {
	return guard.Leave(ctx, protocol.Departure{
		Under: protocol.Guard,
		Fold:  func(old []byte) ([]byte, error) { return old, nil },
	})
}
