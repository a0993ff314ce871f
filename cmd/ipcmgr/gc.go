package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
)

func newGC() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove dead temporary stores",
		Long: `Remove the temporary stores whose owner and clients are all dead, and print
where they were. Nothing else is touched, and nobody is signalled.

What a process leaves that was killed while it made or removed a store is
removed a minute later: before that it may belong to one that is at work.`,
		Example: `  ipcmgr gc
  ipcmgr gc --json | jq -r .route`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			routes, err := ipcmgr.Collect(cmd.Context())
			out := &printer{out: cmd.OutOrStdout(), json: asJSON}
			for _, route := range routes {
				if asJSON {
					out.row(struct {
						Route string `json:"route"`
					}{route})
				} else {
					out.line(route)
				}
			}
			return errors.Join(err, out.flush())
		},
	}
	addJSON(cmd, &asJSON)
	return cmd
}
