// Pool has a pool of worker processes count primes, and prints each result
// once, whatever happens to the workers. Here it kills ten of them on the way:
//
//	go run ./examples/pool -jobs 200 -kill 10
//	IPCMGR_PROTOCOL=unixsocket go run ./examples/pool -kill 10
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
)

func main() {
	proc.Init() // a worker does not come back from here
	jobs := flag.Int("jobs", 100, "how many `numbers` to work on")
	workers := flag.Int("workers", 3, "how many worker `processes`")
	kills := flag.Int("kill", 0, "how many `times` to kill -9 a worker")
	flag.Parse()
	if *jobs < 0 || *workers < 1 || *kills < 0 {
		fmt.Fprintln(os.Stderr, "pool: -jobs and -kill must not be negative, and -workers must be at least 1")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *jobs, *workers, *kills); err != nil {
		fmt.Fprintln(os.Stderr, "pool:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, jobs, workers, kills int) (err error) {
	cfg, err := ipcmgr.ConfigFromEnv()
	if err != nil {
		return err
	}
	st, err := ipcmgr.Spawn(ctx, cfg)
	if err != nil {
		return err
	}
	// Not Shutdown, whose audit would complain: what a worker had counted when it
	// was killed is lost. The pool keeps an account of its own.
	defer func() { err = errors.Join(err, st.Unspawn(context.WithoutCancel(ctx)), st.Close()) }()
	me, err := st.Connect(ctx, bossID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave(me)) }()
	p := newPool(me, jobs, workers)
	var specs []proc.Spec
	for _, id := range p.workers {
		specs = append(specs, proc.Spec{ID: id, Cmd: worker.Cmd, Options: []proc.Option{proc.LinesTo(os.Stderr)}})
	}
	// Workers that are killed are what this is about. Those that cannot work
	// crash so often within a minute all the same.
	strategy := proc.Strategy{Restarts: kills + 100, MaxBackoff: 100 * time.Millisecond}
	sup, err := proc.Supervise(ctx, st, strategy, specs...)
	if err != nil {
		return err
	}
	defer func() { _ = sup.Stop(context.WithoutCancel(ctx)) }() // one that is killed now has done its work
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(sup.Wait(working)) }() // nobody would answer any more
	if err := p.work(working, kills); err != nil {
		return err
	}
	for n, primes := range p.results {
		fmt.Printf("%d primes below %d\n", primes, below(n))
	}
	return nil
}

// leave takes what came twice, and is not wanted any more.
func leave(me ipcmgr.Client) error {
	return me.Disconnect(context.Background(), func(*ipcmgr.Message) error { return nil })
}
