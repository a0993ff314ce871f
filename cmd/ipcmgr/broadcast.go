package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
)

func newBroadcast() *cobra.Command {
	var as string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "broadcast [flags] [JSON|-]",
		Short: "Send a message to every other client",
		Long: `Send a message to every other client of the store, and print what became of
it for each. Without JSON, or with "-", the content is what standard input
holds. Any JSON value but null can be sent.

With --as, what an earlier client of that id left is taken up and left as it
was found.`,
		Example: `  ipcmgr broadcast '{"reload": true}'
  ipcmgr broadcast --json '"hello"'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, s *ipcmgr.Store) error {
				content, err := contentOf(cmd, s, args, "give one")
				if err != nil {
					return err
				}
				c, err := enterAs(cmd, s, as)
				if err != nil {
					return err
				}
				results, err := c.Broadcast(ctx, content)
				if err == nil {
					err = printResults(cmd, results, asJSON)
				}
				return c.leave(ctx, err)
			})
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "id to send as (default one that nobody has)")
	addJSON(cmd, &asJSON)
	return cmd
}

// result is what became of a broadcast for one peer.
type result struct {
	Peer     string `json:"peer"`
	Accepted bool   `json:"accepted"`
	Error    string `json:"error,omitempty"`
}

func printResults(cmd *cobra.Command, results ipcmgr.Results, asJSON bool) error {
	out := newPrinter(cmd, asJSON, "PEER", "RESULT")
	failed := 0
	for _, peer := range slices.Sorted(maps.Keys(results)) {
		r, text := result{Peer: peer, Accepted: true}, "accepted"
		if err := results[peer]; err != nil {
			failed++
			r.Accepted, r.Error = false, oneLine(err.Error())
			text = r.Error
		}
		out.row(r, peer, text)
	}
	if err := out.flush(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("broadcast: %d of %d peers did not accept it", failed, len(results))
	}
	return nil
}
