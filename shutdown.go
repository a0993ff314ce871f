package ipcmgr

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/process"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Shutdown ends the store: ErrNotOwner unless this handle owns it. It refuses
// further clients, signals the processes of the others once if Config.Signal
// asks for it, asks the active clients to terminate, disconnects those of this
// process, waits until none is active, audits, and unspawns. ctx bounds the
// waiting for clients; the error then names those that stay. Suspended and
// crashed clients are not waited for, and what is unread in their mailboxes goes
// with the store: the audit has it as dropped. All errors are joined, that of the
// audit, an *AuditError, among them.
func (s *Store) Shutdown(ctx context.Context) error {
	if !s.Owned() {
		return s.wrap("shut down", ErrNotOwner)
	}
	errs := []error{s.End(ctx), s.Signal(ctx)}
	told, err := s.tell(ctx)
	// Who is full may be waiting for a client of this process.
	rest := make(chan error, 1)
	go func() { rest <- s.tellRest(ctx, told) }()
	errs = append(errs, s.wrap("terminate", err), s.DisconnectClients(ctx), s.Wait(ctx), s.wrap("terminate", <-rest))
	errs = append(errs, lastly(ctx, func(ctx context.Context) error {
		audit, err := s.Audit(ctx)
		if err == nil {
			err = s.wrap("shut down", audit.last())
		}
		return err
	}), lastly(ctx, s.Unspawn))
	return errors.Join(append(errs, s.drop())...)
}

// lastly does what is to be done though ctx may have ended.
func lastly(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastThings)
	defer cancel()
	return do(ctx)
}

// lastThings bounds each of them: they take long only if a process is stopped in
// the middle of something.
const lastThings = 30 * time.Second

// End makes every further Connect fail with ErrEnding. ErrNotOwner.
func (s *Store) End(ctx context.Context) error {
	if !s.Owned() {
		return s.wrap("end", ErrNotOwner)
	}
	_, err := s.summonGuard(ctx) // it could not connect any more
	if errors.Is(err, ErrEnding) {
		return nil // an owner that was killed got that far
	}
	if err == nil {
		err = s.handle.End(ctx)
	}
	return s.wrap("end", err)
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
// their mailboxes, then, waiting, the others, as long as they are active.
// ErrNotOwner.
func (s *Store) Terminate(ctx context.Context) error {
	if !s.Owned() {
		return s.wrap("terminate", ErrNotOwner)
	}
	told, err := s.tell(ctx)
	return s.wrap("terminate", errors.Join(err, s.tellRest(ctx, told)))
}

// TerminatePeer asks one client to terminate, as Terminate does all. ErrNotOwner;
// ErrNoPeer when it is not active.
func (s *Store) TerminatePeer(ctx context.Context, id string) error {
	if !s.Owned() {
		return s.wrap("terminate", ErrNotOwner)
	}
	told, err := s.tell(ctx, id)
	if err == nil && len(told.results) == 0 {
		err = fmt.Errorf("%q: %w", id, ErrNoPeer)
	}
	return s.wrap("terminate", errors.Join(err, s.tellRest(ctx, told)))
}

// tell asks those to terminate that have room: all that are active, or those of
// them that are named.
func (s *Store) tell(ctx context.Context, only ...string) (*broadcast, error) {
	peers, _, err := s.peers(ctx)
	if err != nil {
		return &broadcast{}, err
	}
	var to []string
	for _, p := range peers {
		if p.State == Active && (len(only) == 0 || slices.Contains(only, p.ID)) {
			to = append(to, p.ID)
		}
	}
	if len(to) == 0 {
		return &broadcast{}, nil
	}
	mb, err := s.summonGuard(ctx)
	if err != nil {
		return &broadcast{}, err
	}
	sender := newClient(s, protocol.Guard)
	sender.mb = mb
	return sender.broadcast(ctx, to, terminateContent), nil
}

// tellRest asks those that were full, and says whom it could not ask.
func (s *Store) tellRest(ctx context.Context, told *broadcast) error {
	results := told.rest(ctx, func(ctx context.Context, id string) error {
		return s.whileActive(ctx, id, func(ctx context.Context) error { return told.sendTo(ctx, id, true) })
	})
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(results)) {
		if err := results[id]; err != nil && !departed(err) {
			errs = append(errs, fmt.Errorf("%q: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// whileActive runs f with a context that ends, with ErrPeerGone, when the peer
// is not active any more.
func (s *Store) whileActive(ctx context.Context, id string, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	watch.Go(func() {
		err := s.waitFor(ctx, "terminate", func(peers []Peer) []string {
			for _, p := range peers {
				if p.ID == id && p.State == Active {
					return []string{id}
				}
			}
			return nil
		})
		if err == nil {
			cancel(ErrPeerGone)
		}
	})
	return f(ctx)
}

// departed says whether an error means that the peer is not there any more,
// which is what Terminate wants.
func departed(err error) bool {
	return errors.Is(err, ErrNoPeer) || errors.Is(err, ErrPeerGone) || errors.Is(err, ErrPeerCrashed)
}

// DisconnectClients disconnects the clients of this process. What was unread
// in their mailboxes counts as dropped, and so shows in the audit.
func (s *Store) DisconnectClients(ctx context.Context) error {
	errs := []error{s.wrap("disconnect clients", local.settled(ctx, s.info))}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, c := range local.of(s.info) {
		wg.Go(func() {
			_, err := c.disconnect(ctx, nil)
			if errors.Is(err, ErrClosed) {
				return
			}
			mu.Lock()
			errs = append(errs, c.errorTo("disconnect", "", err))
			mu.Unlock()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
