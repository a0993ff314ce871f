package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr/internal/measure"
	"github.com/ipcmgr/ipcmgr/internal/measure/lanes"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

const (
	benchRounds = 5
	benchTurn   = 100 * time.Millisecond
	all         = "all"
)

func newBench() *cobra.Command {
	var b bench
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast messages are on this machine",
		Long: `Measure how fast messages are between two processes on this machine, over
temporary stores of each protocol, beside a unix socket that is written to by
hand. Where a protocol can, it is measured with and without sync. A protocol
that does not work here is left out and named, with the reason.

All take turns in ` + fmt.Sprint(benchRounds) + ` rounds; rates are the medians. The reader checks the number and
the checksum of every message: one that is lost, repeated, damaged or out of
order fails the run. It takes a few seconds for each line of the table.

` + measure.Notes,
		Example: `  ipcmgr bench
  ipcmgr bench --protocol shm,unixsocket --serializer msgpack --size 64,1024,65536
  ipcmgr bench --protocol fsqueue -n 10000 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := b.plan(cmd)
			if err != nil {
				return err
			}
			return b.run(cmd.Context(), plan, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringSliceVar(&b.protocols, "protocol", []string{all}, "protocols, or "+all)
	cmd.Flags().StringSliceVar(&b.serializers, "serializer", []string{all}, "serializers, or "+all)
	cmd.Flags().IntSliceVar(&b.sizes, "size", []int{64, 1024}, "bytes of a message")
	cmd.Flags().IntVarP(&b.messages, "messages", "n", 0, "messages of each measurement in a round (default: as many as take about "+benchTurn.String()+")")
	addJSON(cmd, &b.json)
	completeNames(cmd)
	return cmd
}

// bench is one run.
type bench struct {
	protocols, serializers []string
	sizes                  []int
	messages               int
	json                   bool
}

// What one message, and one measurement, may have at most.
const (
	mostMessageBytes = 1 << 20
	mostMessages     = 10_000_000
)

// plan is what the flags ask for.
func (b *bench) plan(cmd *cobra.Command) (*measure.Plan, error) {
	for _, size := range b.sizes {
		if size < measure.MinSize || size > mostMessageBytes {
			return nil, usagef(cmd, "--size %d must be from %d to %d bytes", size, measure.MinSize, mostMessageBytes)
		}
	}
	if cmd.Flags().Changed("messages") && (b.messages < 1 || b.messages > mostMessages) {
		return nil, usagef(cmd, "-n %d must be from 1 to %d", b.messages, mostMessages)
	}
	stores, err := b.stores(cmd)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("bench: which program to start: %w", err)
	}
	p := &measure.Plan{
		Rounds: benchRounds, Turn: benchTurn, Messages: b.messages, Calls: true,
		Find:    lanes.Find,
		Command: func() *exec.Cmd { return exec.Command(self, "bench-end") },
	}
	shapes := []measure.Shape{measure.Send, measure.Batch, measure.Trip, measure.Idle}
	for _, size := range b.sizes {
		names := []string{measure.RawUnix().Name}
		for _, s := range stores {
			names = append(names, s.Name())
		}
		for _, name := range names {
			p.Tasks = append(p.Tasks, measure.Task{Row: measure.Row{Lane: name, Size: size}, Shapes: shapes})
		}
	}
	return p, nil
}

// stores lists those to measure. What does not work here is said on standard
// error.
func (b *bench) stores(cmd *cobra.Command) ([]lanes.Store, error) {
	protocols, serializers := b.protocols, b.serializers
	if slices.Equal(protocols, []string{all}) {
		protocols = slices.DeleteFunc(protocol.Names(), func(name string) bool { return name == "mem" })
	}
	if slices.Equal(serializers, []string{all}) {
		serializers = serializer.Names()
	}
	if len(protocols) == 0 || len(serializers) == 0 {
		return nil, usagef(cmd, "an empty list measures nothing: name what to measure, or all")
	}
	var stores []lanes.Store
	for _, name := range protocols {
		if name == "mem" {
			return nil, usagef(cmd, "mem lives in one process and cannot reach others: choose another --protocol")
		}
		p, err := protocol.Get(name)
		if err != nil {
			return nil, usagef(cmd, "--protocol: %w", err)
		}
		if err := p.Viable(); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "ipcmgr: %s is left out: %v\n", name, err)
			continue
		}
		for _, ser := range serializers {
			of, err := lanes.Stores(name, ser)
			if err != nil {
				return nil, usagef(cmd, "--serializer: %w", err)
			}
			stores = append(stores, of...)
		}
	}
	if len(stores) == 0 {
		return nil, fmt.Errorf("bench: none of %s works here", strings.Join(protocols, ", "))
	}
	return stores, nil
}

// run measures and prints.
func (b *bench) run(ctx context.Context, plan *measure.Plan, stdout, stderr io.Writer) error {
	bar := newProgress(stderr)
	plan.Progress = func(step, steps int, row measure.Row) {
		bar.step(step, steps, fmt.Sprintf("%s, %d bytes", row.Lane, row.Size))
	}
	results, err := plan.Run(ctx)
	bar.clear()
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	machine := measure.ThisMachine()
	if b.json {
		for _, r := range results {
			line := struct {
				measure.Result
				Machine measure.Machine `json:"machine"`
			}{r, machine}
			if err := printJSON(stdout, line); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Fprintf(stdout, "%s\nfiles in %s; REF is %s\n\n", machine, os.TempDir(), measure.RawUnix().Name)
	return measure.Table(stdout, results, measure.RawUnix().Name)
}

// newBenchEnd is what bench starts: a process that is one end.
func newBenchEnd() *cobra.Command {
	return &cobra.Command{
		Use:    "bench-end",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return measure.Play(lanes.Find, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}
