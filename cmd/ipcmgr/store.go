package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// openStore opens the store that --store or the environment names.
func openStore(cmd *cobra.Command) (*ipcmgr.Store, error) {
	info, err := cmd.Flags().GetString("store")
	if err != nil {
		return nil, err
	}
	cfg, err := storeConfig(info)
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		return nil, usagef(cmd, "%w", err)
	}
	if cfg.Route == "" {
		return nil, usagef(cmd, "no store is named: give its info with --store, or in %s", ipcmgr.EnvStore)
	}
	return ipcmgr.Open(cmd.Context(), info)
}

// storeConfig is what an info says, or else the environment.
func storeConfig(info string) (ipcmgr.Config, error) {
	if info == "" {
		return ipcmgr.ConfigFromEnv()
	}
	i, err := ipcmgr.ParseInfo(info)
	return ipcmgr.Config{Protocol: ipcmgr.Names{i.Protocol}, Serializer: i.Serializer, Route: i.Route}, err
}

// withStore calls f with the store and drops the handle.
func withStore(cmd *cobra.Command, f func(ctx context.Context, s *ipcmgr.Store) error) error {
	s, err := openStore(cmd)
	if err != nil {
		return err
	}
	return errors.Join(f(cmd.Context(), s), s.Close())
}

// leaveWithin bounds what a command does after it was interrupted.
const leaveWithin = 10 * time.Second

// leaving is the context for leaving in order, whether or not ctx has ended.
func leaving(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
}

// logTo makes what a client has to tell and cannot return lines of stderr.
func logTo(stderr io.Writer) ipcmgr.ConnectOption {
	return ipcmgr.Logger(slog.New(slog.NewTextHandler(stderr, nil)))
}

// storeFlags are the flags of those commands that make a store.
type storeFlags struct {
	protocols  []string
	serializer string
}

func (f *storeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.protocols, "protocol", nil, "protocols, of which the first that will do is taken (default $IPCMGR_PROTOCOL, else fsqueue)")
	cmd.Flags().StringVar(&f.serializer, "serializer", "", "serializer (default $IPCMGR_SERIALIZER, else json)")
	completeNames(cmd)
}

// completeNames makes the shell complete --protocol and --serializer.
func completeNames(cmd *cobra.Command) {
	complete := func(names func() []string) cobra.CompletionFunc {
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return names(), cobra.ShellCompDirectiveNoFileComp
		}
	}
	for flag, names := range map[string]func() []string{"protocol": protocol.Names, "serializer": serializer.Names} {
		if err := cmd.RegisterFlagCompletionFunc(flag, complete(names)); err != nil {
			panic(err) // the flag was defined before
		}
	}
}

// config is what the flags and the environment say. IPCMGR_STORE does not
// count: it names a store that exists.
func (f *storeFlags) config(cmd *cobra.Command) (ipcmgr.Config, error) {
	cfg := ipcmgr.Config{Protocol: f.protocols, Serializer: f.serializer}
	if names := os.Getenv(ipcmgr.EnvProtocol); cfg.Protocol == nil && names != "" {
		cfg.Protocol = strings.Split(names, ",")
	}
	for n, name := range cfg.Protocol {
		cfg.Protocol[n] = strings.TrimSpace(name)
	}
	if cfg.Serializer == "" {
		cfg.Serializer = os.Getenv(ipcmgr.EnvSerializer)
	}
	if slices.Contains(cfg.Protocol, "mem") {
		return cfg, usagef(cmd, "mem lives in one process and cannot reach others: choose another --protocol")
	}
	if err := cfg.Validate(); err != nil {
		return cfg, usagef(cmd, "%w", err)
	}
	return cfg, nil
}
