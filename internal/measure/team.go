package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// silence is how long nothing may come: where a message was lost that the reader
// waits for, it would wait for ever. A process may well stand still for some
// seconds.
const silence = 60 * time.Second

var errSilent = fmt.Errorf("nothing came for %v: it is lost, or very slow", silence)

// team is the processes of one row in one round.
type team struct {
	row           Row
	dir           string
	processes     []*process // in the order in which they started
	says          chan news  // has room for all that can be said unheard
	moving        chan struct{}
	driver, taker *process // the same one if the lane has one process
}

// gather starts the processes of a row, in a directory of their own,
// and lets them meet. command gives what starts one that plays.
func (p *Plan) gather(ctx context.Context, row Row, lane Lane, command func() *exec.Cmd) (_ *team, err error) {
	t := &team{row: row, says: make(chan news, 16), moving: make(chan struct{}, 1)}
	if t.dir, err = p.sites.room(placeOf(row, lane)); err != nil {
		return nil, err
	}
	if err := t.meet(ctx, lane, command); err != nil {
		return nil, t.abandon(err)
	}
	return t, nil
}

func (t *team) meet(ctx context.Context, lane Lane, command func() *exec.Cmd) error {
	cpus, err := processorsOf(t.row.Placement)
	if err != nil {
		return err
	}
	place := Place{Dir: t.dir}
	open := func(s side) (*process, error) {
		p, err := t.start(command(), cpus[s], part{Lane: t.row.Lane, Side: s, Place: place})
		if err != nil {
			return nil, err
		}
		return p, p.tell(order{Do: "open"})
	}
	if lane.Serve != nil {
		if _, err := open(server); err != nil {
			return err
		}
		heard, err := t.hear(ctx, 1)
		if err != nil {
			return err
		}
		place.Addr = heard[0].Addr
	}
	if t.driver, err = open(host); err != nil {
		return err
	}
	heard, err := t.hear(ctx, 1)
	if err != nil {
		return err
	}
	place.Addr = heard[0].Addr
	if err := t.driver.tell(order{Do: "meet"}); err != nil {
		return err
	}
	if lane.Join == nil {
		t.taker = t.driver
		_, err = t.hear(ctx, 1)
		return err
	}
	if t.taker, err = open(joiner); err != nil {
		return err
	}
	_, err = t.hear(ctx, 2)
	return err
}

// start starts one process of the team. Temporary stores of it are in the
// team's directory, and it has as many threads wherever it is placed.
func (t *team) start(cmd *exec.Cmd, cpus []int, p part) (*process, error) {
	cmd.Env = append(cmd.Environ(), "XDG_RUNTIME_DIR="+t.dir, "GOMAXPROCS="+strconv.Itoa(runtime.GOMAXPROCS(0)))
	pr, err := launch(cmd, cpus, p, t.says, t.moving)
	if pr != nil {
		t.processes = append(t.processes, pr)
	}
	return pr, err
}

// hear waits for n answers. The first that tells of a failure ends it: then the
// others may wait for ever.
func (t *team) hear(ctx context.Context, n int) ([]answer, error) {
	var heard []answer
	silent := time.NewTimer(silence)
	defer silent.Stop()
	for len(heard) < n {
		select {
		case s := <-t.says:
			if s.err != nil {
				return nil, s.err
			}
			heard = append(heard, s.answer)
			silent.Reset(silence)
		case <-t.moving:
			silent.Reset(silence)
		case <-silent.C:
			return nil, errSilent
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return heard, nil
}

// turn moves n messages. It returns how long all took, and each if they were
// trips.
func (t *team) turn(ctx context.Context, shape Shape, n int) (all time.Duration, each []time.Duration, err error) {
	o := order{Do: "take", Shape: shape, Size: t.row.Size, Kept: t.row.Kept}
	if err := t.taker.tell(o); err != nil {
		return 0, nil, err
	}
	start := time.Now()
	o.Do, o.N = "drive", n
	if err := t.driver.tell(o); err != nil {
		return 0, nil, err
	}
	heard, err := t.hear(ctx, 2)
	if err != nil {
		return 0, nil, err
	}
	return time.Since(start), slices.Concat(heard[0].Took, heard[1].Took), nil
}

// used is what all processes have used so far.
func (t *team) used(ctx context.Context) (usage, error) {
	for _, p := range t.processes {
		if err := p.tell(order{Do: "usage"}); err != nil {
			return usage{}, err
		}
	}
	heard, err := t.hear(ctx, len(t.processes))
	var sum usage
	for _, a := range heard {
		sum.CPU += a.Usage.CPU
		sum.Mallocs += a.Usage.Mallocs
	}
	return sum, err
}

// disperse ends the processes, the last first, and removes what they leave. What
// they said besides is passed on.
func (t *team) disperse() error {
	var errs []error
	for _, p := range slices.Backward(t.processes) {
		if err := p.end(); err != nil {
			errs = append(errs, err)
		} else {
			_, _ = os.Stderr.Write(p.words.last)
		}
	}
	return errors.Join(append(errs, os.RemoveAll(t.dir))...)
}

// abandon does the same when the team has failed, or is not wanted any more:
// what the processes complain about then only follows from that. It returns why:
// err, unless a process ended by itself, from which err follows too.
func (t *team) abandon(err error) error {
	for _, p := range slices.Backward(t.processes) {
		alone := p.tell(order{Do: "usage"}) != nil // nobody reads it
		end := p.end()
		// One that is just ending may seem to read; who complains of how it had to
		// leave ends with 1.
		alone = alone || p.cmd.ProcessState.ExitCode() != 1
		if alone && end != nil {
			err = end
		}
	}
	_ = os.RemoveAll(t.dir) // or it goes with the site
	return err
}
