package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/process"
)

// Option is an option of Start and Launch.
type Option func(*options)

type options struct {
	outlive bool
	line    func(id, line string)
}

// Outlive lets the child go on when its parent has ended.
func Outlive() Option { return func(o *options) { o.outlive = true } }

// Start starts cmd as a child that is to connect to st under the id, and
// returns when it is connected. It fails at once, with an *ExitError, if the
// child ends before that; and when ctx ends, which it bounds no longer than
// Start itself, the child is killed. ErrBadID, before anything is started.
//
// The child finds the store and its id in its environment, ipcmgr.EnvStore and
// EnvClient. It gets a process group of its own, so a ^C at the terminal is for
// the parent alone. cmd must not have been started, and belongs to the Child
// from then on.
func Start(ctx context.Context, st *ipcmgr.Store, id string, cmd *exec.Cmd, opts ...Option) (*Child, error) {
	c, err := Launch(ctx, st, id, cmd, opts...)
	if err != nil {
		return nil, err
	}
	if err := c.Ready(ctx); err != nil {
		_ = c.Kill() // it fails if the child has ended
		<-c.Done()
		return nil, err
	}
	return c, nil
}

// Launch is Start, but does not wait until the child is connected: Ready does.
func Launch(ctx context.Context, st *ipcmgr.Store, id string, cmd *exec.Cmd, opts ...Option) (*Child, error) {
	fail := func(err error) (*Child, error) { return nil, fmt.Errorf("start child %q: %w", id, err) }
	var o options
	for _, set := range opts {
		set(&o)
	}
	err := errors.Join(ipcmgr.CheckID(id), context.Cause(ctx))
	if err != nil {
		return fail(err)
	}
	c := &Child{id: id, store: st, cmd: cmd}
	c.ended, c.end = context.WithCancel(context.Background())
	cmd.Env = append(cmd.Environ(), ipcmgr.EnvStore+"="+st.Info().String(), EnvClient+"="+id)
	c.listen(o.line)
	ownGroup(cmd)
	if o.outlive {
		err = cmd.Start()
	} else {
		c.pipe, err = startWithPipe(cmd)
	}
	if err != nil {
		return fail(err)
	}
	if err := c.watch(); err != nil {
		_ = signalGroup(cmd.Process, os.Kill)
		_ = cmd.Wait() // it was killed
		return fail(errors.Join(err, c.release()))
	}
	return c, nil
}

// startWithPipe starts cmd with the reading end of a pipe, and returns the
// writing end, which no other process has.
func startWithPipe(cmd *exec.Cmd) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err = handDown(cmd, r); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// lingering is how long after a child's end its output is read: a process that
// left its group may have it still.
const lingering = time.Second

// watch has the child's end waited for, and that of this process.
func (c *Child) watch() (err error) {
	if c.cmd.WaitDelay == 0 {
		c.cmd.WaitDelay = lingering
	}
	if c.pipe != nil {
		if c.sentry, err = startSentry(c.cmd); err != nil {
			return err
		}
	}
	who := process.ID{PID: c.PID()}
	who.Start, _ = process.Start(who.PID) // 0: not known
	exit, err := process.Watch(who)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	go c.reap(exit)
	return nil
}
