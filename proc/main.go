package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

const statusFailed = 1

// leaveWithin bounds Suspend and Disconnect at the end of a child.
var leaveWithin = 5 * time.Second

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
// f's context ends at SIGTERM or SIGINT, and as that of Follow does: with
// ErrOrphaned when the parent has ended, and with ErrReplaced when another
// process is to take this one's place; then the mailbox stays whatever f
// returns. A second signal ends the process at once, and so do five
// seconds without a parent. The end of an orphan is that of its process group.
//
// Without a parent, as a person may start it, the store is that of
// the environment, and the id that of EnvClient.
func Main(f func(ctx context.Context, c ipcmgr.Client) error) {
	surviveBrokenPipes()
	p, err := follow(context.Background())
	if err == nil {
		err = live(p, f)
	}
	status := 0
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = statusFailed
	}
	p.finish()
	os.Exit(status)
}

// live connects, runs f and leaves.
func live(p *parent, f func(context.Context, ipcmgr.Client) error) error {
	id := os.Getenv(EnvClient)
	os.Unsetenv(EnvClient)
	if id == "" {
		return fmt.Errorf("%s is not set: a parent starts this program with proc.Start; by hand, give it an id there, and the store in %s", EnvClient, ipcmgr.EnvStore)
	}
	ctx, stop := signal.NotifyContext(p.ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal has its usual effect
	// Not Open(""), which would compare the info with the variables that chose
	// a protocol for the parent.
	st, err := ipcmgr.Open(ctx, os.Getenv(ipcmgr.EnvStore))
	if err != nil {
		return err
	}
	c, err := st.Connect(ctx, id, ipcmgr.Resume())
	if err != nil {
		return errors.Join(err, st.Close())
	}
	err = call(ctx, c, f)
	left := leave(c, err, p.wantsAnother())
	if errors.Is(err, ErrReplaced) { // as it was asked to
		err = nil
	}
	return errors.Join(err, left, st.Close())
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

// leave leaves as the result of f asks for, and so that the mailbox stays if it
// has to. That f has left itself is no error.
func leave(c ipcmgr.Client, result error, stays bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	var err error
	if result != nil {
		err = c.RequeueAll()
	}
	if (result != nil || stays) && c.Store().Features().Suspends {
		err = errors.Join(err, c.Suspend(ctx, time.Time{}))
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
