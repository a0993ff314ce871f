package measure

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// side is what a process does for a lane.
type side string

const (
	server side = "server"
	host   side = "host"
	joiner side = "join"
)

// part is what a process is told first.
type part struct {
	Lane  string `json:"lane"`
	Side  side   `json:"side"`
	Place Place  `json:"place"`
}

// order is what it is told then. Orders are carried out side by side.
type order struct {
	Do    string `json:"do"` // open, meet, drive, take, usage
	Shape Shape  `json:"shape,omitempty"`
	N     int    `json:"n,omitempty"`
	Size  int    `json:"size,omitempty"`
	Kept  bool   `json:"kept,omitempty"`
}

// answer is what it says when an order is carried out.
type answer struct {
	Done  string          `json:"done"` // what it was told to do
	Error string          `json:"error,omitempty"`
	Addr  string          `json:"addr,omitempty"`
	Took  []time.Duration `json:"took,omitempty"`
	Usage usage           `json:"usage,omitzero"`

	Moving bool `json:"moving,omitempty"` // no answer yet: messages come
}

// usage is what a process has used since it began.
type usage struct {
	CPU     float64 `json:"cpu"` // seconds
	Mallocs uint64  `json:"mallocs"`
}

// leaveWithin bounds how long an order that was under way when the run was given
// up holds a process.
const leaveWithin = 2 * time.Second

// Play is the other processes of a run: it takes part in one lane as in tells,
// until that ends. find is to know the lanes of the Plan.
func Play(find func(name string) (Lane, error), in io.Reader, out io.Writer) error {
	orders := json.NewDecoder(bufio.NewReader(in))
	var p part
	if err := orders.Decode(&p); err != nil {
		return fmt.Errorf("what to play: %w", err)
	}
	lane, err := find(p.Lane)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a := &actor{ctx: ctx, part: p, lane: lane, out: json.NewEncoder(out)}
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		a.underWay.Add(1)
		a.busy.Go(func() { a.carryOut(o) })
	}
	cancel()
	hung := time.AfterFunc(leaveWithin, a.exitIfBusy)
	a.busy.Wait()
	hung.Stop()
	return a.close()
}

// actor is one process of a lane.
type actor struct {
	ctx  context.Context
	part part
	lane Lane
	busy sync.WaitGroup

	underWay atomic.Int64 // orders that are not answered

	mu     sync.Mutex // taken by each order first, which so sees what earlier ones made
	out    *json.Encoder
	meet   func() (End, error)
	driver driver
	taker  taker
	leave  func() error
}

// exitIfBusy ends the process if an order hangs, in a call that no context
// ends. A process that was stopped for a while, and has answered, does not.
func (a *actor) exitIfBusy() {
	if a.underWay.Load() > 0 {
		os.Exit(1)
	}
}

func (a *actor) carryOut(o order) {
	a.mu.Lock()
	a.mu.Unlock() //nolint:staticcheck // what earlier orders made is seen from here on
	res := answer{Done: o.Do}
	var err error
	switch o.Do {
	case "open":
		res.Addr, err = a.open()
	case "meet":
		var e End
		if e, err = a.meet(); err == nil {
			a.hold(e)
		}
	case "drive":
		res.Took, err = a.driver.run(o.Shape, o.N, o.Size)
	case "take":
		over := make(chan struct{})
		go a.report(over)
		err = a.taker.run(o.Shape, o.Size, o.Kept, a.lane.Unordered)
		close(over)
	case "usage":
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		res.Usage = usage{CPU: cpuSeconds(), Mallocs: m.Mallocs}
	default:
		err = fmt.Errorf("there is no order %q", o.Do)
	}
	if err != nil {
		res.Error = err.Error()
	}
	a.underWay.Add(-1) // before the answer, after which the run may be over
	a.say(res)
}

func (a *actor) say(res answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.out.Encode(res); err != nil && a.ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1) // nobody is there any more
	}
}

// reportEvery is how often a reader says that messages come: too seldom to be
// in anybody's way.
const reportEvery = 5 * time.Second

func (a *actor) report(over <-chan struct{}) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for said := a.taker.check.passed.Load(); ; {
		select {
		case <-tick.C:
			if now := a.taker.check.passed.Load(); now != said {
				said = now
				a.say(answer{Moving: true})
			}
		case <-over:
			return
		}
	}
}

func (a *actor) open() (addr string, err error) {
	switch a.part.Side {
	case server:
		addr, a.leave, err = a.lane.Serve(a.ctx, a.part.Place)
	case host:
		addr, a.meet, err = a.lane.Host(a.ctx, a.part.Place)
	case joiner:
		var e End
		if e, err = a.lane.Join(a.ctx, a.part.Place); err == nil {
			a.hold(e)
		}
	default:
		err = fmt.Errorf("there is no side %q", a.part.Side)
	}
	return addr, err
}

// hold makes e the end of this process.
func (a *actor) hold(e End) { a.driver.end, a.taker.end, a.leave = e, e, e.Close }

func (a *actor) close() error {
	if a.leave == nil {
		return nil
	}
	return a.leave()
}
