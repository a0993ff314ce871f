package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
)

func newInfo() *cobra.Command {
	var asJSON, perl bool
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Say what the store is",
		Long: `Say what the store is: how to reach it, what its protocol promises, and the
limits that were set when it was spawned. With --perl, print its info in the
form that Perl's IPC::Manager reads, for a store that Perl can use.`,
		Example: `  ipcmgr info --json | jq .max_message
  perl worker.pl "$(ipcmgr info --perl)"`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if perl && asJSON {
				return usagef(cmd, "--perl and --json exclude each other")
			}
			return withStore(cmd, func(_ context.Context, s *ipcmgr.Store) error {
				if perl {
					text, err := s.Info().Perl()
					if err != nil {
						return err
					}
					_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
					return err
				}
				return printInfo(cmd, s, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&perl, "perl", false, "print the info for Perl's IPC::Manager")
	addJSON(cmd, &asJSON)
	return cmd
}

// about is what info prints.
type about struct {
	Store      string   `json:"store"`
	Protocol   string   `json:"protocol"`
	Serializer string   `json:"serializer"`
	Route      string   `json:"route"`
	Temporary  bool     `json:"temporary"`
	Sync       bool     `json:"sync"`
	MaxMessage int      `json:"max_message"`
	MaxPending int      `json:"max_pending"`
	MaxBytes   int      `json:"max_bytes"`
	Features   []string `json:"features"`
}

func aboutOf(s *ipcmgr.Store) about {
	set, f := s.Settings(), s.Features()
	store := s.Info().Redacted()
	i, _ := ipcmgr.ParseInfo(store) // it reads what Info writes
	a := about{
		Store: store, Protocol: i.Protocol, Serializer: i.Serializer, Route: i.Route,
		Temporary: set.Temporary, Sync: set.Sync,
		MaxMessage: s.MaxMessage(), MaxPending: set.MaxPending, MaxBytes: set.MaxBytes,
		Features: []string{},
	}
	for _, has := range []struct {
		is   bool
		name string
	}{{f.Suspends, "suspends"}, {f.Redelivers, "redelivers"}, {f.Syncs, "syncs"}, {f.Proves, "proves"}, {f.Remote, "remote"}} {
		if has.is {
			a.Features = append(a.Features, has.name)
		}
	}
	return a
}

func printInfo(cmd *cobra.Command, s *ipcmgr.Store, asJSON bool) error {
	a := aboutOf(s)
	if asJSON {
		return printJSON(cmd.OutOrStdout(), a)
	}
	out := newPrinter(cmd, false, "store", a.Store)
	for _, line := range [][2]string{
		{"protocol", a.Protocol}, {"serializer", a.Serializer}, {"route", a.Route},
		{"temporary", strconv.FormatBool(a.Temporary)}, {"sync", strconv.FormatBool(a.Sync)},
		{"max message", strconv.Itoa(a.MaxMessage) + " bytes"},
		{"max pending", fmt.Sprintf("%d messages, %d bytes", a.MaxPending, a.MaxBytes)},
		{"features", strings.Join(a.Features, ", ")},
	} {
		out.row(nil, line[0], line[1])
	}
	return out.flush()
}
