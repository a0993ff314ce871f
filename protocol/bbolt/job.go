package bbolt

import (
	"context"
	"errors"
	"time"
)

// job is one operation on a file.
type job struct {
	ctx    context.Context // ends the wait, not the work
	writes bool
	work   func(*ledger) error // changes nothing if it returns an error
	undo   func()              // what was done besides, if the commit fails; may be nil
	err    error
	lead   chan bool // what it waits for if it is queued: true = lead now, false = done
}

// do carries out a job in a transaction, which it may share with others, and
// returns what came of it. It waits for the file until ctx or the client's life
// ends. Work and undo may run on another goroutine, and while the file is held;
// what work is given is valid within it.
//
// errReplaced: the mailbox is not there any more. errDamaged: what the file
// kept was lost and has been set aside; the work may be done again.
// protocol.ErrUnsure: it may have been done.
func (f *file) do(j *job) error {
	if f.join(j) || f.await(j) {
		f.run(j)
	}
	return j.err
}

// read does work that changes nothing.
func (f *file) read(ctx context.Context, work func(*ledger) error) error {
	return f.do(&job{ctx: ctx, work: work})
}

// write does work that changes something.
func (f *file) write(ctx context.Context, work func(*ledger) error) error {
	return f.do(&job{ctx: ctx, writes: true, work: work})
}

// join makes j the leader, or queues it.
func (f *file) join(j *job) (lead bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.leading {
		j.lead = make(chan bool, 1)
		f.queue = append(f.queue, j)
		return false
	}
	f.leading = true
	f.begins()
	return true
}

// await waits until j is done, or is to lead.
func (f *file) await(j *job) (lead bool) {
	var ended context.Context
	select {
	case lead = <-j.lead:
		return lead
	case <-j.ctx.Done():
		ended = j.ctx
	case <-f.life.Done():
		ended = f.life
	}
	if f.withdraw(j) {
		j.err = context.Cause(ended)
		return false
	}
	return <-j.lead // somebody has it in hand
}

func (f *file) withdraw(j *job) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, q := range f.queue {
		if q == j {
			f.queue = append(f.queue[:i], f.queue[i+1:]...)
			return true
		}
	}
	return false
}

// run leads: it carries out j and all that is queued when the file is there,
// and passes the lead on.
func (f *file) run(j *job) {
	batch := append(f.batch[:0], j)
	j.err = f.hold(j.ctx)
	if j.err == nil && f.db == nil {
		j.err = f.open()
	}
	if j.err == nil {
		f.mu.Lock()
		batch = append(batch, f.queue...)
		f.queue = nil
		f.mu.Unlock()
		f.commit(batch)
	}
	for _, q := range batch[1:] {
		q.lead <- false
	}
	clear(batch)
	f.batch = batch
	f.pass()
}

// pass ends a lead.
func (f *file) pass() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = time.Now()
	f.settle()
	if len(f.queue) == 0 {
		f.leading = false
		return
	}
	heir := f.queue[0]
	f.queue = f.queue[1:]
	f.brisk = true
	heir.lead <- true
}

// commit carries out a batch. If the whole of it fails, each job does that had
// not failed before.
func (f *file) commit(batch []*job) {
	err := f.transact(batch)
	if errors.Is(err, errDamaged) {
		err = f.repair(err)
	}
	if err == nil {
		return
	}
	for _, j := range batch {
		if j.err != nil {
			continue
		}
		j.err = err
		if j.undo != nil {
			j.undo()
		}
	}
}

// alone does something that needs the file held and closed, and gives it back.
// No operation is under way or begun meanwhile.
func (f *file) alone(ctx context.Context, do func() error) error {
	f.mu.Lock()
	f.leading = true
	f.mu.Unlock()
	err := f.hold(ctx)
	if err == nil {
		if f.db != nil {
			f.shut()
		}
		err = do()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leading = false
	f.giveBack()
	return err
}
