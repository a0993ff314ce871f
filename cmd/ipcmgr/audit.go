package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
)

func newAudit() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Compare what was sent with what was read",
		Long: `Compare, for each pair of clients, what the one sent with what the other read.
A pair is equal, unread (the rest is still in the mailbox), dropped, or unknown
(one of the two crashed, or is still at it). Dropped and unknown make the audit
fail, with status 1.`,
		Example: `  ipcmgr audit
  ipcmgr audit --json | jq -c 'select(.verdict != "equal")'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, s *ipcmgr.Store) error {
				audit, err := s.Audit(ctx)
				if err != nil {
					return err
				}
				out := newPrinter(cmd, asJSON, auditColumns...)
				for _, p := range audit.Pairs {
					out.row(p, auditCells(p)...)
				}
				if err := out.flush(); err != nil {
					return err
				}
				return audit.Err()
			})
		},
	}
	addJSON(cmd, &asJSON)
	return cmd
}

var auditColumns = []string{"FROM", "TO", "SENT", "READ", "REJECTED", "CORRUPT", "DROPPED", "VERDICT", "REASON"}

func auditCells(p ipcmgr.Pair) []string {
	return []string{
		p.From, p.To, count(p.Sent), count(p.Read), count(p.Rejected), count(p.Corrupt), count(p.Dropped),
		string(p.Verdict), p.Reason,
	}
}
