package ipctest

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/process"
)

// Kill kills the process that holds the client with SIGKILL, and returns when
// it is seen as crashed. The audit of the store then expects that the counts
// of that process's clients are not known. A worker of the id that is started
// afterwards takes up the mailbox.
func Kill(t testing.TB, st *ipcmgr.Store, id string) {
	t.Helper()
	s := sceneOf(t, st)
	ctx, cancel := waiting(t)
	defer cancel()
	if err := s.kill(ctx, id); err != nil {
		t.Fatalf("ipctest: kill %q: %v", id, err)
	}
}

func (s *scene) kill(ctx context.Context, id string) error {
	victim, err := s.st.Peer(ctx, id)
	if err != nil {
		return err
	}
	if victim.State != ipcmgr.Active {
		return fmt.Errorf("it is %v, so there is no process to kill", victim.State)
	}
	if err := s.excuseAllOf(ctx, victim); err != nil {
		return err
	}
	w := s.worker(id)
	if w != nil {
		_ = s.expect(w)
	}
	if err := s.strike(w, victim); err != nil {
		return err
	}
	if w != nil {
		if _, stuck := w.Wait(ctx), ctx.Err(); stuck != nil {
			return fmt.Errorf("it does not end: %w", context.Cause(ctx))
		}
	}
	return s.st.WaitUntil(ctx, func(peers []ipcmgr.Peer) bool {
		for _, p := range peers {
			if p.ID == id && p.State == ipcmgr.Active && p.PID == victim.PID && p.Start == victim.Start {
				return false
			}
		}
		return true
	})
}

// strike kills: a worker with its process group, anyone else alone.
func (s *scene) strike(w *worker, victim ipcmgr.Peer) error {
	if crash := crashes(s.st); crash != nil && w == nil {
		return crash(victim.ID)
	}
	if w != nil {
		return w.Kill()
	}
	if victim.PID == os.Getpid() {
		return fmt.Errorf("its process (pid %d) is the one that runs the test: start it as a worker", victim.PID)
	}
	return process.Signal(process.ID{PID: victim.PID, Start: victim.Start}, os.Kill)
}

// excuseAllOf excuses all clients that live in one process.
func (s *scene) excuseAllOf(ctx context.Context, victim ipcmgr.Peer) error {
	s.excuse(victim.ID)
	if crashes(s.st) != nil {
		return nil // there it is one client that crashes
	}
	peers, err := s.st.Peers(ctx)
	if err != nil {
		return err
	}
	for _, p := range peers {
		if p.PID == victim.PID && p.Start == victim.Start {
			s.excuse(p.ID)
		}
	}
	return nil
}

// Stop asks workers to terminate, ends them if they do not, and returns when
// they have ended. The test fails if one does not end well.
func Stop(t testing.TB, st *ipcmgr.Store, ids ...string) {
	t.Helper()
	s := sceneOf(t, st)
	for _, id := range ids {
		w := s.worker(id)
		if w == nil {
			t.Fatalf("ipctest: stop: no worker %q was started", id)
		}
		ctx, cancel := finishing(t)
		err := s.stop(ctx, w)
		cancel()
		if err != nil {
			t.Fatalf("ipctest: worker %q: %v", id, err)
		}
	}
}

// ExpectExit waits for a worker that ends by itself, and returns how: nil, or
// what went wrong, a *proc.ExitError where it was a process. The audit of the store
// expects the crash.
func ExpectExit(t testing.TB, st *ipcmgr.Store, id string) error {
	t.Helper()
	s := sceneOf(t, st)
	w := s.worker(id)
	if w == nil {
		t.Fatalf("ipctest: expect the end of %q: no such worker was started", id)
	}
	_ = s.expect(w)
	ctx, cancel := waiting(t)
	defer cancel()
	err := w.Wait(ctx)
	if ctx.Err() != nil && err == context.Cause(ctx) {
		t.Fatalf("ipctest: worker %q does not end: %v", id, err)
	}
	if err != nil {
		s.excuse(id)
	}
	return err
}
