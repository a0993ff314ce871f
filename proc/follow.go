package proc

import (
	"context"
	"os"
	"sync/atomic"
	"time"
)

// orphanedFor is how long a child may go on after its parent's end.
var orphanedFor = 5 * time.Second

// Follow is for a program that may be started as a child and does not call
// Main. Its context ends with ctx; with ErrOrphaned when the parent has ended;
// and with ErrReplaced when the parent wants to start another process in the
// place of this one, whose client should then suspend where the protocol can.
//
// finish is to be called when the program is done: what is left of an
// orphan's process group is killed then, this process with it. That comes five
// seconds after the parent's end if finish does not.
//
// Follow is called once, early: it takes what it needs out of the environment,
// so that it is not taken for that of a grandchild. Without a parent, the context
// ends with ctx alone. An error says that what the parent handed down is not there; the
// context and finish are good then too.
func Follow(ctx context.Context) (_ context.Context, finish func(), err error) {
	p, err := follow(ctx)
	return p.ctx, p.finish, err
}

// parent is the process that started this one, as this one hears of it.
type parent struct {
	ctx   context.Context
	end   context.CancelCauseFunc
	ended atomic.Bool
}

func follow(ctx context.Context) (*parent, error) {
	p := &parent{}
	p.ctx, p.end = context.WithCancelCause(ctx)
	pipe, has := os.LookupEnv(envParent)
	os.Unsetenv(envParent)
	if !has {
		return p, nil
	}
	r, err := inherit(pipe)
	if err == nil {
		go p.listen(r)
	}
	return p, err
}

// listen hears what the parent says, which is one thing only, and its end.
func (p *parent) listen(r *os.File) {
	word := make([]byte, 1)
	for {
		if _, err := r.Read(word); err != nil { // any error is an end too
			break
		}
		p.end(ErrReplaced)
	}
	p.ended.Store(true)
	p.end(ErrOrphaned)
	time.AfterFunc(orphanedFor, func() {
		p.finish()
		os.Exit(statusFailed)
	})
}

// finish ends what an orphan has started: nobody else would.
func (p *parent) finish() {
	if p.ended.Load() {
		killOwnGroup()
	}
}

// wantsAnother says whether another process is to take this one's place.
func (p *parent) wantsAnother() bool { return context.Cause(p.ctx) == ErrReplaced }
