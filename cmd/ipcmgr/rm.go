package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
)

func newRm() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "rm",
		Short: "Remove a store with all that is in it",
		Long: `Remove a store with all that is in it, unread messages included. A store that
is in use, by an owner or by clients that are active, is removed only with
--force; they are not told.`,
		Example: `  ipcmgr rm --store fsqueue+json:///var/tmp/post
  ipcmgr rm --force`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, s *ipcmgr.Store) error {
				if force {
					return errors.Join(s.Seize(ctx), s.Unspawn(ctx))
				}
				if err := checkIdle(ctx, s); err != nil {
					return err
				}
				i := s.Info()
				owner, err := ipcmgr.Adopt(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{i.Protocol}, Serializer: i.Serializer, Route: i.Route})
				if err != nil {
					return err
				}
				return errors.Join(owner.Unspawn(ctx), owner.Close())
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also if it is in use")
	return cmd
}

// checkIdle says who is active.
func checkIdle(ctx context.Context, s *ipcmgr.Store) error {
	peers, err := s.Peers(ctx)
	if err != nil {
		return err
	}
	var active []string
	for _, p := range peers {
		if p.State == ipcmgr.Active {
			active = append(active, fmt.Sprintf("%q (pid %d)", p.ID, p.PID))
		}
	}
	if active != nil {
		return fmt.Errorf("rm: clients are active: %s (store %s): end them, or use --force", strings.Join(active, ", "), s.Info().Redacted())
	}
	return nil
}
