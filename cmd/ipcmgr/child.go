package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
)

// childCommand is a program that finds the store in its environment, alone:
// what else names one would contradict it.
func childCommand(ctx context.Context, s *ipcmgr.Store, args []string) *exec.Cmd {
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	for _, pair := range os.Environ() {
		if !namesStore(pair) {
			c.Env = append(c.Env, pair)
		}
	}
	c.Env = append(c.Env, ipcmgr.EnvStore+"="+s.Info().String())
	return c
}

func namesStore(pair string) bool {
	for _, name := range []string{ipcmgr.EnvProtocol, ipcmgr.EnvSerializer, ipcmgr.EnvRoute, ipcmgr.EnvStore} {
		if len(pair) > len(name) && pair[:len(name)+1] == name+"=" {
			return true
		}
	}
	return false
}

// waitForwarding runs a program and forwards signals to it; the end of this
// process's own parent is SIGTERM. Its error is a childStatus unless the
// program could not be run.
func waitForwarding(ctx context.Context, c *exec.Cmd) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, forwarded...)
	defer signal.Stop(signals)
	if err := c.Start(); err != nil {
		return fmt.Errorf("run %q: %w", c.Args[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for {
		select {
		case <-ctx.Done():
			if askedByParent(ctx) && c.Process.Signal(syscall.SIGTERM) != nil {
				_ = c.Process.Kill() // this system cannot send it, or the program has ended
			}
			ctx = context.WithoutCancel(ctx)
		case sig := <-signals:
			if !sentToGroup(sig) {
				_ = c.Process.Signal(sig) // it fails only if the program has ended
			}
		case err := <-ended:
			if exit := new(exec.ExitError); errors.As(err, &exit) {
				return childStatus(exitStatus(exit.ProcessState))
			}
			return err
		}
	}
}

// askedByParent says whether the context ended because the parent of this process
// has ended, or asks it to: not at a signal.
func askedByParent(ctx context.Context) bool {
	cause := context.Cause(ctx)
	return errors.Is(cause, proc.ErrOrphaned) || errors.Is(cause, proc.ErrReplaced)
}
