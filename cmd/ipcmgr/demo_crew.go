package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
)

// crew is the worker processes of a demo.
type crew struct {
	store   *ipcmgr.Store
	workers []*worker
	exits   chan *worker // each once, when its process has ended
	spoiled chan error   // the first error of receiving
	feeders sync.WaitGroup
	stderr  io.Writer // of the workers
}

// worker is one of them, as the parent sees it. Only the goroutine of the
// parent that hands out files reads and writes it, except as said.
type worker struct {
	*proc.Child
	jobs    chan []any   // to its feeder; never full, see give
	given   map[int]bool // files that it has and has not answered
	ready   bool
	dead    bool // its process ended before it was asked to, or failed
	ended   bool
	stop    context.CancelFunc // of its feeder
	feedErr error              // why it could not be fed; read after it has ended

	files int
	bytes int64
}

// give hands files to the worker's feeder. There is room: each batch holds a
// file that the worker has, and it has no more than mostGiven.
func (w *worker) give(numbers []int, files []file) {
	batch := make([]any, len(numbers))
	for i, n := range numbers {
		w.given[n] = true
		batch[i] = job{N: n, Path: []byte(files[n].path)}
	}
	w.jobs <- batch
}

// lost lists the files that the worker has not answered.
func (w *worker) lost() []int {
	lost := slices.Sorted(maps.Keys(w.given))
	clear(w.given)
	return lost
}

// byID gives one of the crew, or nil.
func (c *crew) byID(id string) *worker {
	for _, w := range c.workers {
		if w.ID() == id {
			return w
		}
	}
	return nil
}

// start starts workers. They say themselves when they are ready.
func (c *crew) start(ctx context.Context, n int, parent ipcmgr.Client) error {
	for i := range n {
		w := &worker{jobs: make(chan []any, mostGiven), given: map[int]bool{}}
		cmd := demoWorker.Cmd()
		cmd.Stderr = c.stderr
		var err error
		if w.Child, err = proc.Launch(ctx, c.store, "w"+strconv.Itoa(i+1), cmd); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		c.workers = append(c.workers, w)
		feeding, stop := context.WithCancel(ctx)
		w.stop = stop
		c.feeders.Add(1)
		go c.feed(feeding, w, parent)
	}
	return nil
}

// feed sends a worker its jobs, so that one that does not read holds nobody
// else up, and tells when the process has ended.
func (c *crew) feed(ctx context.Context, w *worker, parent ipcmgr.Client) {
	defer c.feeders.Done()
	go func() {
		<-w.Done()
		w.stop()
	}()
	for ctx.Err() == nil {
		select {
		case batch := <-w.jobs:
			if _, err := parent.SendBatch(ctx, w.ID(), batch...); err != nil && ctx.Err() == nil {
				w.feedErr = err
				_ = w.Kill() // useless, if not dead already
			}
		case <-ctx.Done():
		}
	}
	<-w.Done()
	c.exits <- w
}

// wait waits until all have ended as they were asked to.
func (c *crew) wait(ctx context.Context) error {
	for _, w := range c.workers {
		for !w.ended {
			select {
			case other := <-c.exits:
				other.ended = true
				other.dead = !other.State().Success()
			case <-ctx.Done():
				return fmt.Errorf("demo: worker %s (pid %d) does not end: %w", w.ID(), w.PID(), context.Cause(ctx))
			}
		}
	}
	return nil
}

// ready waits until every worker that lives is connected: none is to find a
// store that is ending.
func (c *crew) ready(ctx context.Context) error {
	for _, w := range c.workers {
		if err := w.Ready(ctx); err != nil && ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// kill ends every worker that is left, at once.
func (c *crew) kill() {
	for _, w := range c.workers {
		if !w.ended {
			_ = w.Kill() // it fails only if the process has ended
		}
	}
	c.feeders.Wait()
}
