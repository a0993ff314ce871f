package protocoltest

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// actor plays a role beside the test: in a process of its own where the
// protocol reaches that far, else in a goroutine. It does what it is told, one
// order at a time, and can be killed at any moment.
type actor struct {
	s       *scene
	id      string // of its client, "" while it has none
	orders  *json.Encoder
	reports *json.Decoder
	stage   io.Closer // closing it tells the actor that there are no more orders
	busy    bool      // carrying out an order
	dead    bool
	rest    []report // what it said before it died and nobody had heard

	cmd *exec.Cmd // if it is a process

	cancel context.CancelFunc // if it is a goroutine,
	ended  chan struct{}      // and closed when that has ended
}

// actor starts an actor who has the scene's store open.
func (s *scene) actor() *actor {
	s.Helper()
	a := s.stranger()
	a.do(order{Op: "open", Route: s.store.Route()})
	return a
}

// player starts an actor who is connected.
func (s *scene) player(id string, mode protocol.Mode) *actor {
	s.Helper()
	a := s.actor()
	a.connect(id, mode)
	return a
}

// stranger starts an actor who knows of no store.
func (s *scene) stranger() *actor {
	s.Helper()
	a := &actor{s: s}
	if s.h.Processes {
		a.startProcess()
	} else {
		a.startRoutine()
	}
	s.Cleanup(a.stop)
	return a
}

func (a *actor) startProcess() {
	a.s.Helper()
	exe, err := os.Executable()
	a.s.must(err, "find the test binary")
	a.cmd = exec.CommandContext(a.s.ctx, exe)
	// A process under the race detector sleeps for a second before it exits,
	// unless told otherwise.
	a.cmd.Env = append(os.Environ(), roleVar+"="+a.s.h.Protocol.Name(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	a.cmd.Stderr = os.Stderr
	in, err := a.cmd.StdinPipe()
	a.s.must(err, "make a pipe")
	out, err := a.cmd.StdoutPipe()
	a.s.must(err, "make a pipe")
	a.s.must(a.cmd.Start(), "start an actor")
	a.orders, a.reports, a.stage = json.NewEncoder(in), json.NewDecoder(out), in
}

func (a *actor) startRoutine() {
	in, orders := io.Pipe()
	reports, out := io.Pipe()
	ctx, cancel := context.WithCancel(a.s.ctx)
	a.cancel, a.ended = cancel, make(chan struct{})
	go func() {
		defer close(a.ended)
		defer out.Close()
		if st := play(ctx, a.s.h.Protocol, in, out); st != nil {
			st.Close()
		}
	}()
	a.orders, a.reports, a.stage = json.NewEncoder(orders), json.NewDecoder(reports), orders
}

// kill kills the actor, whatever it is doing. It is dead when kill returns; what
// it said last can still be heard.
func (a *actor) kill() {
	a.s.Helper()
	if a.cmd != nil {
		a.s.must(a.cmd.Process.Kill(), "kill an actor")
	} else if a.id != "" {
		a.s.h.Crash(a.s, a.s.store, a.id)
	}
	a.bury()
}

// stop ends the actor at the end of its test.
func (a *actor) stop() {
	switch {
	case a.dead:
	case a.cmd == nil:
		a.cancel()
		a.bury()
	case a.busy:
		a.kill()
	default:
		a.stage.Close()
		if err := a.cmd.Wait(); err != nil {
			a.s.Errorf("actor %s ended with %v", a.id, err)
		}
	}
}

// bury waits until an actor who was told to end has ended.
func (a *actor) bury() {
	a.dead = true
	a.stage.Close()
	for {
		var r report
		if a.reports.Decode(&r) != nil {
			break
		}
		a.rest = append(a.rest, r)
	}
	if a.cmd != nil {
		a.cmd.Wait()
		return
	}
	<-a.ended
	a.cancel()
}

// tell gives an order without waiting for what comes of it.
func (a *actor) tell(o order) {
	a.s.Helper()
	a.busy = true
	a.s.must(a.orders.Encode(o), "tell an actor to "+o.Op)
}

// hear gives the next report. ok is false when there will be none, because the
// actor is dead.
func (a *actor) hear() (r report, ok bool) {
	if !a.dead {
		ok = a.reports.Decode(&r) == nil
	} else if ok = len(a.rest) > 0; ok {
		r, a.rest = a.rest[0], a.rest[1:]
	}
	a.busy = a.busy && !r.Done
	return r, ok
}

// finish waits until the order is done that was given with tell.
func (a *actor) finish() report {
	a.s.Helper()
	for {
		r, ok := a.hear()
		if !ok {
			a.s.Fatalf("actor %s died", a.id)
		}
		if r.Done {
			return r
		}
	}
}

// try gives an order and waits until it is done.
func (a *actor) try(o order) report {
	a.s.Helper()
	a.tell(o)
	return a.finish()
}

// do is try for an order that must succeed.
func (a *actor) do(o order) report {
	a.s.Helper()
	r := a.try(o)
	if r.Err != "" {
		a.s.Fatalf("actor %s: %s: %s", a.id, o.Op, r.Err)
	}
	return r
}

func (a *actor) connect(id string, mode protocol.Mode) report {
	a.s.Helper()
	r := a.do(order{Op: "connect", ID: id, Mode: mode})
	a.id = id
	return r
}

// is says whether the error in a report matches a sentinel.
func (r report) is(target error) bool { return slices.Contains(r.Is, target.Error()) }
