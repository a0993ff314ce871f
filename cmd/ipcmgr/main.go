// Command ipcmgr lets shells and people take part in a store of package
// ipcmgr: make one, send, receive, look at who is there and at what became of
// the messages.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr/proc"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
)

func main() {
	proc.Init() // a worker of the demo does not come back from here
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// errInterrupted is a cause with which a command's context ends: at a signal, and
// together with the cause that package proc gives when its parent ends it.
var errInterrupted = errors.New("interrupted")

// run is the command: it returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// Where a program in between has closed what the parent handed down, there is
	// nothing to follow.
	ctx, finish, _ := proc.Follow(context.Background())
	defer finish()
	ctx, stop := untilSignal(ctx)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !started { // cobra found fault with the arguments
		err = &usageError{err: err, cmd: cmd.CommandPath()}
	}
	return report(stderr, err)
}

// untilSignal ends its context at the first signal that asks to end, or when
// the given one ends, which is as good as a signal. Further ones change
// nothing: what is under way then is leaving in order, which is bounded. A
// closed pipe is an error of the write, not the end: what could not be printed
// must be put back first.
func untilSignal(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		ends = append(ends, syscall.SIGHUP)
	}
	arrived, pipe := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(arrived, ends...)
	signal.Notify(pipe, syscall.SIGPIPE)
	go func() {
		select {
		case <-arrived:
			cancel(errInterrupted)
		case <-parent.Done():
			cancel(fmt.Errorf("%w: %w", errInterrupted, context.Cause(parent)))
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		signal.Stop(arrived)
		signal.Stop(pipe)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "ipcmgr",
		Short: "Messages between the processes of one machine",
		Long: `Messages between the processes of one machine.

A store is spawned, its info string is handed to other processes, and each of
them takes part under a name of its own. The info is given with --store, or in
the environment variable IPCMGR_STORE.

Exit status: 0 done; 1 failed, as when an id is in use or an audit finds a loss;
2 wrong usage, as is JSON that cannot be sent; 3 no such store or peer, or not
any more; 4 timed out.`,
		Example: `  export IPCMGR_STORE=$(ipcmgr spawn --route /tmp/post --detach)
  ipcmgr recv --as worker -n 1 &
  ipcmgr send --wait 5s worker '{"n": 42}'
  wait; ipcmgr audit; ipcmgr rm`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          withoutCommand,
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newSpawn(), newGC(), newDemo(), newBench(), newBenchEnd())
	for _, cmd := range []*cobra.Command{
		newSend(), newRecv(), newRequest(), newServices(), newBroadcast(), newPeers(), newStats(),
		newAudit(), newInfo(), newRm(),
	} {
		cmd.Flags().String("store", "", "info of the store (default $IPCMGR_STORE)")
		root.AddCommand(cmd)
	}
	refuseUnknownTopics(root)
	return root
}

func withoutCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef(cmd, "there is no command %q", args[0])
	}
	cmd.SetOut(cmd.ErrOrStderr())
	if err := cmd.Help(); err != nil {
		return err
	}
	return usagef(cmd, "no command is given")
}
