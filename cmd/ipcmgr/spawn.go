package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
)

func newSpawn() *cobra.Command {
	var flags storeFlags
	var route string
	var sync, detach bool
	cmd := &cobra.Command{
		Use:   "spawn [flags] [-- CMD ARG...]",
		Short: "Make a store",
		Long: `Make a store.

With CMD: run it with IPCMGR_STORE set, forward signals to it, shut the store
down when it ends, and exit with its status; a failing shutdown or audit makes
a 0 into 1.

Without: print the store's info, alone on the first line, and own the store
until SIGINT or SIGTERM, which shut it down. With --detach: print the info and
leave the store behind; "ipcmgr rm" removes it.

A store without a route is temporary.`,
		Example: `  ipcmgr spawn -- make test
  ipcmgr spawn --protocol unixsocket --serializer msgpack
  export IPCMGR_STORE=$(ipcmgr spawn --route /var/tmp/post --detach)`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
				return usagef(cmd, "unexpected argument %q: put -- before the command to run", args[0])
			}
			cfg, err := flags.config(cmd)
			if err != nil {
				return err
			}
			if cfg.Route = route; route == "" {
				cfg.Route = os.Getenv(ipcmgr.EnvRoute)
			}
			if cmd.Flags().Changed("sync") {
				cfg.Sync = &sync
			}
			if err := cfg.Validate(); err != nil {
				return usagef(cmd, "%w", err)
			}
			if detach && cfg.Route == "" {
				return usagef(cmd, "--detach needs --route: nobody would find a temporary store again")
			}
			if detach && len(args) > 0 {
				return usagef(cmd, "--detach and a command to run exclude each other")
			}
			s, err := ipcmgr.Spawn(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			switch {
			case detach:
				return leaveBehind(cmd, s)
			case len(args) > 0:
				return runChild(cmd, s, args)
			}
			return own(cmd, s)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&route, "route", "", "where the store is to be, an absolute directory (default $IPCMGR_ROUTE, else a temporary place)")
	cmd.Flags().BoolVar(&sync, "sync", false, "a send returns when the message would survive a power cut (default true with --route, if the protocol can)")
	cmd.Flags().BoolVar(&detach, "detach", false, "leave the store behind")
	return cmd
}

// leaveBehind gives the store up before its info is told, so that who reads it
// can adopt the store.
func leaveBehind(cmd *cobra.Command, s *ipcmgr.Store) error {
	if err := s.Detach(cmd.Context()); err != nil {
		return errors.Join(err, s.Close())
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), s.Info())
	return errors.Join(err, s.Close())
}

// own keeps the store until a signal, or until somebody else removes it.
func own(cmd *cobra.Command, s *ipcmgr.Store) error {
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), s.Info()); err != nil {
		return errors.Join(err, s.Close())
	}
	for _, err := range s.Watch(cmd.Context()) {
		if errors.Is(err, errInterrupted) {
			break
		}
		if err != nil {
			return errors.Join(err, s.Close())
		}
	}
	return s.Close()
}

// runChild runs a program that uses the store, and shuts the store down.
func runChild(cmd *cobra.Command, s *ipcmgr.Store, args []string) error {
	c := childCommand(context.WithoutCancel(cmd.Context()), s, args)
	c.Stdin, c.Stdout, c.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	err := waitForwarding(cmd.Context(), c)
	closing := s.Close()
	var child childStatus
	if errors.As(err, &child) && closing != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "ipcmgr: "+oneLine(closing.Error()))
		return child
	}
	return errors.Join(err, closing)
}
