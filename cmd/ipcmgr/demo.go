package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
)

func newDemo() *cobra.Command {
	var flags storeFlags
	var d demo
	cmd := &cobra.Command{
		Use:   "demo [flags] DIR",
		Short: "Hash every file below a directory with worker processes",
		Long: `Hash every regular file below DIR with SHA-256, in worker processes that get
the names over a store of their own and answer over it. Links are not followed.
At the end: a table of what was done, and the audit of the store.

With --sum, standard output is what sha256sum prints for the same files, sorted
by path, and the table goes to standard error.

Files that cannot be read are reported at the end, with status 1. The files of
a worker that dies go to the others. With --json their paths are in base64, for
they need not be UTF-8.

Every protocol will do but mem, which reaches no other process.`,
		Example: `  ipcmgr demo /usr/share/doc
  ipcmgr demo --protocol unixsocket --serializer msgpack --workers 4 .
  ipcmgr demo --sum . | sha256sum --check --quiet`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if d.workers < 1 {
				return usagef(cmd, "--workers must be at least 1")
			}
			if most := mostWorkers(); d.workers > most {
				return usagef(cmd, "--workers must be at most %d here", most)
			}
			if d.sum && d.json {
				return usagef(cmd, "--sum and --json exclude each other")
			}
			if args[0] == "" {
				return usagef(cmd, "DIR is empty: the working directory is \".\"")
			}
			cfg, err := flags.config(cmd)
			if err != nil {
				return err
			}
			d.dir, d.progress = args[0], newProgress(cmd.ErrOrStderr())
			if err := d.run(cmd.Context(), cfg); err != nil {
				return err
			}
			return d.print(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags.add(cmd)
	cmd.Flags().IntVar(&d.workers, "workers", runtime.NumCPU(), "worker processes")
	cmd.Flags().BoolVar(&d.sum, "sum", false, "print what sha256sum prints")
	addJSON(cmd, &d.json)
	return cmd
}

// demo is one run.
type demo struct {
	dir       string
	workers   int
	sum, json bool
	progress  *progress

	files      []file
	listed     int     // files and directories
	unreadable []fault // while they were listed
	answers    []answer
	took       time.Duration
	crew       *crew
	counts     ipcmgr.Stats // of the parent
	audit      *ipcmgr.Audit
}

// mostWorkers bounds the processes of a run: more than a few for each processor
// hash nothing sooner, and use up what all processes of the user share.
func mostWorkers() int { return max(64, 4*runtime.NumCPU()) }

// parentID is the client that hands out the files.
const parentID = "parent"

// run hashes the files. Whatever happens, no process and no store is left.
func (d *demo) run(ctx context.Context, cfg ipcmgr.Config) (err error) {
	started := time.Now()
	if err := d.walk(ctx); err != nil {
		return err
	}
	s, err := ipcmgr.Spawn(ctx, cfg)
	if err != nil {
		return err
	}
	d.crew = &crew{store: s, stderr: d.progress.out, exits: make(chan *worker, d.workers), spoiled: make(chan error, 1)}
	defer func() {
		d.progress.clear()
		d.crew.kill()
		end, cancel := leaving(ctx)
		defer cancel()
		err = errors.Join(err, exceptAudit(s.Shutdown(end)))
	}()
	parent, err := s.Connect(ctx, parentID, logTo(d.progress.out))
	if err != nil {
		return err
	}
	if err := d.crew.start(ctx, d.workers, parent); err != nil {
		return err
	}
	if err := d.dispatch(ctx, parent); err != nil {
		return err
	}
	d.took = time.Since(started)
	return d.finish(ctx, parent)
}

// finish lets the workers go, and audits what all have counted.
func (d *demo) finish(ctx context.Context, parent ipcmgr.Client) error {
	s := d.crew.store
	if err := d.crew.ready(ctx); err != nil {
		return err
	}
	end, cancel := leaving(ctx)
	defer cancel()
	if err := errors.Join(s.End(end), s.Terminate(end)); err != nil {
		return err
	}
	if err := d.crew.wait(end); err != nil {
		return err
	}
	// What comes late is a second answer about the files of a dead worker.
	err := parent.Disconnect(end, func(*ipcmgr.Message) error { return nil })
	if err != nil {
		return err
	}
	d.counts = parent.Stats()
	d.audit, err = s.Audit(end)
	return err
}

// auditErr is what the audit finds wrong with those who did not die.
func (d *demo) auditErr() error {
	dead := map[string]bool{}
	for _, w := range d.crew.workers {
		dead[w.ID()] = w.dead
	}
	e := &ipcmgr.AuditError{}
	for _, p := range d.audit.Pairs {
		if p.Failed() && !dead[p.From] && !dead[p.To] {
			e.Pairs = append(e.Pairs, p)
		}
	}
	if e.Pairs == nil {
		return nil
	}
	return e
}

// exceptAudit takes the audit out of the errors of a shutdown: it is shown in
// the table, or the run has failed for another reason.
func exceptAudit(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var rest []error
	for _, err := range joined.Unwrap() {
		if !errors.As(err, new(*ipcmgr.AuditError)) {
			rest = append(rest, err)
		}
	}
	return errors.Join(rest...)
}

// failed says how much could not be read.
func (d *demo) failed() error {
	n := len(d.faults())
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d files and directories could not be read", n, d.listed)
}
