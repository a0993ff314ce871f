package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

const statusFailed = 1

var (
	// leaveWithin bounds Suspend and Disconnect at the end of a child.
	leaveWithin = 5 * time.Second
	// orphanedFor is how long a child may go on after its parent's end.
	orphanedFor = 5 * time.Second
)

// Main is the whole of a child's main function: it connects to the store that
// the parent named, under the id that it gave, runs f, leaves, and ends the
// process. What an earlier child of the id left in its mailbox is taken up.
//
// When f returns nil, the client disconnects, and the exit status is 0; unread
// messages are reported. When it returns an error or panics, the error
// is printed and the exit status is 1; what was handed out and not acknowledged is
// put back, and the mailbox stays where the protocol keeps mailboxes, for the
// next child of the id.
//
// f's context ends at SIGTERM or SIGINT, and with ErrOrphaned when the parent
// has ended. A second signal ends the process at once, and so do five
// seconds without a parent. The end of an orphan is that of its process group.
//
// Without a parent, as a person may start it, the store is that of
// the environment, and the id that of EnvClient.
func Main(f func(ctx context.Context, c ipcmgr.Client) error) {
	surviveBrokenPipes()
	l, err := begin()
	if err == nil {
		err = l.live(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	l.finish(err)
}

// life is what a child knows of its place in the world.
type life struct {
	id     string
	ctx    context.Context // of the child's function
	parent context.Context // ends with the parent
	orphan context.CancelCauseFunc
}

// begin reads the environment, and begins to follow signals and the parent.
func begin() (life, error) {
	l := life{id: os.Getenv(EnvClient)}
	pipe, hasParent := os.LookupEnv(envParent)
	os.Unsetenv(EnvClient)
	os.Unsetenv(envParent)
	l.parent, l.orphan = context.WithCancelCause(context.Background())
	ctx, stop := signal.NotifyContext(l.parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal has its usual effect
	l.ctx = ctx
	if l.id == "" {
		return l, fmt.Errorf("%s is not set: a parent starts this program with proc.Start; by hand, give it an id there, and the store in %s", EnvClient, ipcmgr.EnvStore)
	}
	if hasParent {
		return l, l.follow(pipe)
	}
	return l, nil
}

// follow makes the child an orphan when the parent's pipe ends.
func (l life) follow(pipe string) error {
	r, err := inherit(pipe)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, r) // nothing is ever written; an error is an end too
		l.orphan(ErrOrphaned)
		time.AfterFunc(orphanedFor, func() { l.finish(ErrOrphaned) })
	}()
	return nil
}

// finish ends the process. Nobody else would end what an orphan has started.
func (l life) finish(err error) {
	if l.parent.Err() != nil {
		killOwnGroup()
	}
	if err != nil {
		os.Exit(statusFailed)
	}
	os.Exit(0)
}

// live connects, runs f and leaves.
func (l life) live(f func(context.Context, ipcmgr.Client) error) error {
	// Not Open(""), which would compare the info with the variables that chose
	// a protocol for the parent.
	st, err := ipcmgr.Open(l.ctx, os.Getenv(ipcmgr.EnvStore))
	if err != nil {
		return err
	}
	c, err := st.Connect(l.ctx, l.id, ipcmgr.Resume())
	if err != nil {
		return errors.Join(err, st.Close())
	}
	err = call(l.ctx, c, f)
	return errors.Join(err, leave(c, err), st.Close())
}

// call runs f on a goroutine of its own, for one that ends its goroutine, as
// testing's FailNow does, must not be taken for one that returned.
func call(ctx context.Context, c ipcmgr.Client, f func(context.Context, ipcmgr.Client) error) error {
	result := make(chan error, 1)
	go func() {
		err := errors.New("the function ended its goroutine and did not return")
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v\n\n%s", r, debug.Stack())
			}
			result <- err
		}()
		err = f(ctx, c)
	}()
	return <-result
}

// leave leaves as the result of f asks for. That f has left itself is no error.
func leave(c ipcmgr.Client, result error) error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	var err error
	if result != nil && c.Store().Features().Suspends {
		err = errors.Join(c.RequeueAll(), c.Suspend(ctx, time.Time{}))
	} else {
		err = c.Disconnect(ctx, nil)
	}
	if errors.Is(err, ipcmgr.ErrClosed) {
		return nil
	}
	if result == nil && isUnread(err) {
		fmt.Fprintln(os.Stderr, err)
		return nil
	}
	return err
}

// isUnread says whether messages that were left unread are all that err tells.
func isUnread(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) == 1 {
		err = joined.Unwrap()[0]
	}
	_, ok := err.(*ipcmgr.UnreadError)
	return ok
}
