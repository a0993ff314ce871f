package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// family is the child processes of a service.
type family struct {
	mu       sync.Mutex
	children map[*exec.Cmd]struct{}
	wg       sync.WaitGroup
	closed   bool
}

// Start starts a child process that belongs to the service. It is reaped when
// it ends, and ended is called, if it is not nil, as a hook is. A service that
// ends asks those that still run to end with SIGTERM, and kills those that do
// not within 10 s.
//
// The child is in the service's process group, unless cmd says otherwise. Where
// package proc started the service, the child is killed with it, however that
// ends; a service that nobody started so, and that is killed itself, leaves the child behind.
func (s *Service) Start(cmd *exec.Cmd, ended func(ctx context.Context, state *os.ProcessState) error) error {
	f := &s.family
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fmt.Errorf("start %s: the service has ended", cmd.Path)
	}
	if cmd.WaitDelay == 0 { // a grandchild that holds its output must not hold up the service
		cmd.WaitDelay = time.Second
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if f.children == nil {
		f.children = map[*exec.Cmd]struct{}{}
	}
	f.children[cmd] = struct{}{}
	f.wg.Go(func() {
		err := cmd.Wait()
		f.mu.Lock()
		delete(f.children, cmd)
		f.mu.Unlock()
		if err != nil && !errors.As(err, new(*exec.ExitError)) {
			s.failedHook("child", err) // of copying its output
		}
		if ended != nil {
			s.runHook(context.WithoutCancel(s.ending), "child", func(ctx context.Context) error {
				return ended(ctx, cmd.ProcessState)
			})
		}
	})
	return nil
}

// Children lists the pids of the child processes that run.
func (s *Service) Children() []int {
	s.family.mu.Lock()
	defer s.family.mu.Unlock()
	var pids []int
	for cmd := range s.family.children {
		pids = append(pids, cmd.Process.Pid)
	}
	return pids
}

// finish asks the children to end, and waits until they are reaped.
func (f *family) finish(ctx context.Context) {
	f.mu.Lock()
	f.closed = true
	f.signal(syscall.SIGTERM)
	f.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		f.wg.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return
	case <-ctx.Done():
	}
	f.mu.Lock()
	f.signal(os.Kill)
	f.mu.Unlock()
	<-gone
}

// signal kills where the system cannot send another. f.mu is held.
func (f *family) signal(sig os.Signal) {
	for cmd := range f.children {
		if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			_ = cmd.Process.Kill() // it fails only if the process has just ended
		}
	}
}
