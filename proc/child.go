package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/process"
)

// Child is a process that was started, and its process group. Its methods may
// be called concurrently.
type Child struct {
	id     string
	store  *ipcmgr.Store
	cmd    *exec.Cmd
	pipe   *os.File // closed by the kernel when this process ends; nil with Outlive
	sentry *sentry  // nil if it needs none
	tail   *tail    // of its standard error; nil when that goes straight to a file
	lines  []*lines // of its output, if somebody asked for them

	mu     sync.Mutex
	reaped bool // its pid may be another process's
	ready  atomic.Bool

	ended context.Context // ends when the child was reaped and its output read
	end   context.CancelFunc
	err   error // of its end; to be read after ended
}

// ID is the id under which the child is a client of the store.
func (c *Child) ID() string { return c.id }

// PID is that of the process that was started. If it is a wrapper around the
// client, Store.Peer has the client's.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Done is closed when the child has ended, its status was taken, what was left
// of its process group was killed, and its output was read.
func (c *Child) Done() <-chan struct{} { return c.ended.Done() }

// State is how the process ended; nil before Done.
func (c *Child) State() *os.ProcessState {
	select {
	case <-c.Done():
		return c.cmd.ProcessState
	default:
		return nil
	}
}

// Wait blocks until the child has ended: nil if its exit status is 0, an
// *ExitError otherwise.
func (c *Child) Wait(ctx context.Context) error {
	select {
	case <-c.Done():
		return c.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Ready blocks until the child is connected to the store, or has been. An
// *ExitError when it ended before that.
func (c *Child) Ready(ctx context.Context) error {
	if c.ready.Load() {
		return nil
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ended, cancel)()
	for p, err := range c.store.Watch(watching) {
		switch {
		case err == nil && c.holds(p):
			c.ready.Store(true)
			return nil
		case err == nil:
		case ctx.Err() != nil:
			return fmt.Errorf("child %q (pid %d) is not connected: %w%s", c.id, c.PID(), context.Cause(ctx), c.lastWords())
		case c.ended.Err() != nil:
			return c.tooEarly(ctx)
		default:
			return fmt.Errorf("child %q (pid %d): %w", c.id, c.PID(), err)
		}
	}
	return nil
}

// holds says whether the peer is this child, or one below it: a wrapper may
// stand between. Two children may have been started for one id.
func (c *Child) holds(p ipcmgr.Peer) bool {
	return p.ID == c.id && p.State == ipcmgr.Active && (isInGroup(p.PID, c.PID()) || process.IsBelow(p.PID, c.PID()))
}

// tooEarly is for a child that ended before it was seen in the store. If it
// ended well and left statistics, it was there, and quick.
func (c *Child) tooEarly(ctx context.Context) error {
	if c.err != nil {
		return fmt.Errorf("not connected: %w", c.err)
	}
	stats, err := c.store.Stats(ctx)
	if err != nil {
		return err
	}
	if _, was := stats[c.id]; was {
		c.ready.Store(true)
		return nil
	}
	return &ExitError{ID: c.id, State: c.cmd.ProcessState, Stderr: c.tail.String(), Err: errNeverConnected}
}

const errNeverConnected = sentinel("it did not connect: it must call proc.Main or connect under the id in " + EnvClient)

// Signal sends a signal to the child's process group; only to the process
// where there are no groups. It matches os.ErrProcessDone after its end.
func (c *Child) Signal(sig os.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return fmt.Errorf("child %q: %w", c.id, os.ErrProcessDone)
	}
	return signalGroup(c.cmd.Process, sig)
}

// Kill ends the process group at once, without Wait.
func (c *Child) Kill() error { return c.Signal(os.Kill) }

// reap waits for the end. The group is killed while the dead child still has
// its pid, so that the group's number cannot be another's.
func (c *Child) reap(exit *process.Exit) {
	if exit != nil {
		<-exit.Done()
		_ = exit.Close() // a descriptor that was read
	}
	c.mu.Lock()
	_ = signalGroup(c.cmd.Process, os.Kill) // there may be nobody left
	c.reaped = true
	c.mu.Unlock()
	err := c.cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	for _, l := range c.lines {
		l.flush()
	}
	// The pipes stay open until here: had the collector closed them, the child
	// would take a living parent for dead.
	_ = c.release()
	if err != nil {
		c.err = &ExitError{ID: c.id, State: c.cmd.ProcessState, Stderr: c.tail.String(), Err: err}
	}
	c.end()
}

// release frees what a child that has ended was held by. Its group was killed.
func (c *Child) release() error {
	c.sentry.dismiss()
	if c.pipe == nil {
		return nil
	}
	return c.pipe.Close()
}
