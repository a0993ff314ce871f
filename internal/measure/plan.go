package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// Plan says what to measure.
type Plan struct {
	Tasks    []Task
	Rounds   int           // how often each task is done
	Turn     time.Duration // how long a shape takes in a round, about
	Messages int           // a shape moves in a round; 0: as many as take so long
	Calls    bool          // count system calls too, where strace is

	// Find gives a lane by its name.
	Find func(name string) (Lane, error)
	// Command gives what starts a process that calls Play with the same Find.
	Command func() *exec.Cmd
	// Progress, if set, is told before each step.
	Progress func(step, steps int, row Row)

	sites *sites // of the run
}

// Task is a row and the shapes to measure of it.
type Task struct {
	Row    Row
	Shapes []Shape
}

// idleTrips is how many trips after a pause are made in a round: each takes as
// long as the pause.
const idleTrips = 10

// mostMessages bounds what a shape moves in a round.
const mostMessages = 10_000_000

// Run measures the tasks in turn, round after round, and returns a result for
// each. The error says which have failed: their results do too, and the others
// are whole. When ctx ends there are no results, and the error is its cause. Run
// leaves no process and no file.
func (p *Plan) Run(ctx context.Context) (results []Result, err error) {
	var at sites
	defer func() { err = errors.Join(err, at.remove()) }()
	p.sites = &at
	logs := make([]taskLog, len(p.Tasks))
	step, steps := 0, len(p.Tasks)*p.Rounds
	strace := strace()
	if !p.Calls {
		strace = ""
	}
	if strace != "" {
		steps += len(p.Tasks)
	}
	each := func(do func(ctx context.Context, t Task, l *taskLog, lane Lane) error) {
		for i, t := range p.Tasks {
			if logs[i].err != nil {
				step++
				continue
			}
			if ctx.Err() != nil {
				return
			}
			if p.Progress != nil {
				p.Progress(step, steps, t.Row)
			}
			step++
			lane, err := p.Find(t.Row.Lane)
			if err == nil {
				err = do(ctx, t, &logs[i], lane)
			}
			logs[i].err = err
		}
	}
	for range p.Rounds {
		each(p.round)
	}
	if strace != "" {
		each(func(ctx context.Context, t Task, l *taskLog, lane Lane) error {
			return p.count(ctx, strace, t, l, lane)
		})
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var errs []error
	for i, l := range logs {
		row := p.Tasks[i].Row
		results = append(results, l.result(row))
		if l.err != nil {
			errs = append(errs, fmt.Errorf("%s, %d bytes: %w", row.Lane, row.Size, l.err))
		}
	}
	if len(errs) > 0 {
		return results, fmt.Errorf("%d of %d rows failed: %w", len(errs), len(results), errors.Join(errs...))
	}
	return results, nil
}

// round does a task once.
func (p *Plan) round(ctx context.Context, task Task, l *taskLog, lane Lane) error {
	t, err := p.gather(ctx, task.Row, lane, p.Command)
	if err != nil {
		return err
	}
	l.durable = durableIn(t.dir, lane.Durable)
	for _, shape := range task.Shapes {
		if err := p.measure(ctx, t, shape, l.shape(shape)); err != nil {
			return fmt.Errorf("%s: %w", shape, t.abandon(err))
		}
	}
	return t.disperse()
}

// measure makes one turn that counts, after one that warms up.
func (p *Plan) measure(ctx context.Context, t *team, shape Shape, l *shapeLog) error {
	if l.n == 0 {
		if err := p.size(ctx, t, shape, l); err != nil {
			return err
		}
	}
	if shape != Idle {
		if _, _, err := t.turn(ctx, shape, l.n/10+1); err != nil {
			return err
		}
	}
	before, err := t.used(ctx)
	if err != nil {
		return err
	}
	all, each, err := t.turn(ctx, shape, l.n)
	if err != nil {
		return err
	}
	after, err := t.used(ctx)
	if err != nil {
		return err
	}
	l.note(all, each, before, after)
	return nil
}

// size finds how many messages make a turn.
func (p *Plan) size(ctx context.Context, t *team, shape Shape, l *shapeLog) error {
	switch {
	case shape == Idle:
		l.n = idleTrips
	case p.Messages > 0:
		l.n = p.Messages
	}
	for try := BatchSize; l.n == 0; try *= 4 {
		took, _, err := t.turn(ctx, shape, try)
		if err != nil {
			return err
		}
		if took >= p.Turn/4 || try >= mostMessages {
			l.n = min(int(float64(try)*p.Turn.Seconds()/took.Seconds()), mostMessages)
			l.n = max(l.n/BatchSize, 1) * BatchSize
		}
	}
	return nil
}

// callsOf is how many messages the system calls are counted of.
const callsOf = 2000

// count counts the system calls of each shape but Idle: those of processes that
// meet, move messages and part, less those of processes that only meet and
// part. strace slows each call down, which is why nothing else is measured
// meanwhile.
func (p *Plan) count(ctx context.Context, strace string, task Task, l *taskLog, lane Lane) error {
	idle, err := p.calls(ctx, strace, task.Row, lane, "", 0)
	if err != nil {
		return err
	}
	for _, shape := range task.Shapes {
		if shape == Idle {
			continue
		}
		log := l.shape(shape)
		n := min(log.n, callsOf)
		calls, err := p.calls(ctx, strace, task.Row, lane, shape, n)
		if err != nil {
			return fmt.Errorf("%s under strace: %w", shape, err)
		}
		log.calls = new(max(float64(calls-idle), 0) / float64(n))
	}
	return nil
}

// calls is how many system calls a team makes that moves n messages.
func (p *Plan) calls(ctx context.Context, strace string, row Row, lane Lane, shape Shape, n int) (int, error) {
	dir, err := p.sites.room(os.TempDir())
	if err != nil {
		return 0, err
	}
	t, err := p.gather(ctx, row, lane, func() *exec.Cmd { return counting(p.Command(), strace, dir) })
	if err != nil {
		return 0, err
	}
	if n > 0 {
		if _, _, err := t.turn(ctx, shape, n); err != nil {
			return 0, t.abandon(err)
		}
	}
	if err := t.disperse(); err != nil {
		return 0, err
	}
	return counted(dir)
}
