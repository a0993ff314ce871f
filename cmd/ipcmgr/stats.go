package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
)

func newStats() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stats [ID]",
		Short: "Print what the clients have counted",
		Long: `Print what each client, present or gone, counted over all its connections, as
it last wrote it: when it suspended or disconnected. A client that had no name
of its own counts as _cli.`,
		Example: `  ipcmgr stats
  ipcmgr stats --json worker | jq .read`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, s *ipcmgr.Store) error {
				all, err := s.Stats(ctx)
				if err != nil {
					return err
				}
				if len(args) > 0 {
					one, ok := all[args[0]]
					if !ok {
						return fmt.Errorf("no statistics of %q: %w has written any", args[0], ipcmgr.ErrNoPeer)
					}
					all = map[string]ipcmgr.Stats{args[0]: one}
				}
				return printStats(cmd, all, asJSON)
			})
		},
	}
	addJSON(cmd, &asJSON)
	return cmd
}

func printStats(cmd *cobra.Command, all map[string]ipcmgr.Stats, asJSON bool) error {
	out := newPrinter(cmd, asJSON, "ID", "PEER", "SENT", "READ", "REJECTED", "CORRUPT", "DROPPED", "UNSURE")
	for _, id := range slices.Sorted(maps.Keys(all)) {
		s := all[id]
		if asJSON {
			out.row(struct {
				ID string `json:"id"`
				ipcmgr.Stats
			}{id, s})
			continue
		}
		counts := []map[string]int64{s.Sent, s.Read, s.Rejected, s.Corrupt, s.Dropped, s.Unsure}
		peers := map[string]bool{}
		for _, c := range counts {
			for peer := range c {
				peers[peer] = true
			}
		}
		if len(peers) == 0 {
			out.row(nil, id, "-")
		}
		for _, peer := range slices.Sorted(maps.Keys(peers)) {
			cells := []string{id, peer}
			for _, c := range counts {
				cells = append(cells, count(c[peer]))
			}
			out.row(nil, cells...)
		}
	}
	return out.flush()
}

func count(n int64) string { return strconv.FormatInt(n, 10) }
