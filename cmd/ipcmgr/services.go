package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/service"
)

func newServices() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "services",
		Short: "List the services of the store",
		Long: `List the services of the store with their methods; "*" stands for a catch-all.
A durable one comes back after a crash with the requests that it had. Services
of Perl's IPC::Manager are not listed: they do not say that they are some.`,
		Example: `  ipcmgr services
  ipcmgr services --json | jq -r 'select(.methods | index("add")).id'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, s *ipcmgr.Store) error {
				list, err := service.List(ctx, s)
				if err != nil {
					return err
				}
				out := newPrinter(cmd, asJSON, "ID", "STATE", "PID", "DURABLE", "METHODS")
				for _, l := range list {
					durable := "no"
					if l.Durable {
						durable = "yes"
					}
					out.row(struct {
						ID      string   `json:"id"`
						State   string   `json:"state"`
						PID     int      `json:"pid"`
						Durable bool     `json:"durable"`
						Methods []string `json:"methods"`
					}{l.ID, l.State.String(), l.PID, l.Durable, l.Methods},
						l.ID, l.State.String(), strconv.Itoa(l.PID), durable, strings.Join(l.Methods, " "))
				}
				return out.flush()
			})
		},
	}
	addJSON(cmd, &asJSON)
	return cmd
}
