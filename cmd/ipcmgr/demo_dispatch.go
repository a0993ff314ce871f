package main

import (
	"context"
	"fmt"

	"github.com/ipcmgr/ipcmgr"
)

// mostGiven is how many files a worker has at most that it has not answered.
const mostGiven = 64

// backlog is the work that is not done yet.
type backlog struct {
	files   []file
	pending []int // files that nobody has
	left    int64 // bytes of the pending ones, as of when they were found
	done    int   // files answered
	bytes   int64 // of those, likewise
	alive   int   // workers
}

// dispatch hands out the files until each is answered. A worker gets more as
// it answers, so that a fast one gets more in all.
func (d *demo) dispatch(ctx context.Context, parent ipcmgr.Client) error {
	d.answers = make([]answer, len(d.files))
	b := &backlog{files: d.files, pending: make([]int, len(d.files)), alive: len(d.crew.workers)}
	for n := range d.files {
		b.pending[n] = n
		b.left += d.files[n].size
	}
	d.progress.begin(len(d.files), b.left)
	arrived := make(chan arrival, mostGiven)
	receiving, stop := context.WithCancel(ctx)
	defer stop()
	go d.crew.receive(receiving, parent, arrived)
	for b.done < len(d.files) {
		select {
		case a := <-arrived:
			if err := d.take(b, a); err != nil {
				return err
			}
		case w := <-d.crew.exits:
			if err := d.bury(ctx, b, w); err != nil {
				return err
			}
		case err := <-d.crew.spoiled:
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// arrival is one answer, and whose.
type arrival struct {
	from string
	answer
}

// receive passes answers on until its context ends.
func (c *crew) receive(ctx context.Context, parent ipcmgr.Client, arrived chan<- arrival) {
	for m, err := range parent.Messages(ctx) {
		a := arrival{}
		if err == nil {
			a.from, err = m.From, m.Decode(&a.answer)
		}
		if err != nil {
			c.spoiled <- err // has room for the one that there can be
			return
		}
		select {
		case arrived <- a:
		case <-ctx.Done():
			return
		}
	}
}

// take books an answer and gives the worker more to do.
func (d *demo) take(b *backlog, a arrival) error {
	w := d.crew.byID(a.from)
	if w == nil || !a.Ready && (!a.answered() || a.N < 0 || a.N >= len(d.files)) {
		return fmt.Errorf("demo: %q sent what is no answer", a.from)
	}
	switch {
	case a.Ready:
		w.ready = true
	default:
		delete(w.given, a.N)
		if !d.answers[a.N].answered() { // else a dead worker had answered before
			d.answers[a.N] = a.answer
			b.done++
			b.bytes += d.files[a.N].size
			if a.Why == "" {
				w.files++
				w.bytes += a.Size
			}
			d.progress.done(b.done, b.bytes)
		}
	}
	b.refill(w)
	return nil
}

// leastShare is how many bytes make it worth to hand out several files at once.
const leastShare = 1 << 20

// refill gives a worker more when it has done half of what it had. It gets a
// share of the files that are left, and no more than its share of the bytes:
// towards the end that is less, so that all end together.
func (b *backlog) refill(w *worker) {
	if !w.ready || w.ended {
		return
	}
	want := min(max(len(b.pending)/(2*b.alive), 2), mostGiven)
	if 2*len(w.given) > want {
		return
	}
	share := max(b.left/int64(2*b.alive), leastShare)
	for n := range w.given {
		share -= b.files[n].size
	}
	n := 0
	for n < len(b.pending) && len(w.given)+n < want {
		share -= b.files[b.pending[n]].size
		if share < 0 && len(w.given)+n > 0 {
			break
		}
		n++
	}
	if n == 0 {
		return
	}
	for _, number := range b.pending[:n] {
		b.left -= b.files[number].size
	}
	w.give(b.pending[:n], b.files)
	b.pending = b.pending[n:]
}

// bury gives the files of a worker that has ended to the others.
func (d *demo) bury(ctx context.Context, b *backlog, w *worker) error {
	w.ended, w.dead = true, true
	b.alive--
	lost := w.lost()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	how := w.State().String()
	if w.feedErr != nil {
		how += ": " + oneLine(w.feedErr.Error())
	}
	said := fmt.Sprintf("ipcmgr: worker %s (pid %d) died (%s)", w.ID(), w.PID(), how)
	if b.alive == 0 {
		d.progress.say(said)
		return fmt.Errorf("demo: all workers have died, and %d of %d files are not hashed", len(d.files)-b.done, len(d.files))
	}
	d.progress.say(fmt.Sprintf("%s: giving %s to the %s left", said, counted(len(lost), "file"), counted(b.alive, "worker")))
	for _, n := range lost {
		b.left += b.files[n].size
	}
	b.pending = append(lost, b.pending...)
	for _, w := range d.crew.workers {
		b.refill(w)
	}
	return nil
}
