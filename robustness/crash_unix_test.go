//go:build unix

package robustness

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/trial"
)

var (
	kills = flag.Int("robustness.kills", defaultKills, "kills in each crash test, per protocol")
	seed  = flag.Uint64("robustness.seed", 0, "of the crash tests' faults; 0 takes a new one, and prints it")
)

// Processes that send and receive are killed, stopped and continued at random
// moments, and so is the owner of their store; each comes back and resumes.
// Every message that was accepted arrives, twice only with the mark, in the
// order of its sender and unaltered; where nothing is kept, all arrives but
// what was unread in a receiver that was killed. Nobody hangs, nobody fails,
// and in the end nothing remains.
func TestCrashes(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	trial.Report(t, "-robustness.seed=%d", *seed)
	for _, p := range trial.Viable("fsqueue", "bbolt", "unixsocket", "shm") {
		t.Run(p, func(t *testing.T) {
			if p == "unixsocket" || p == "shm" {
				crashes(t, ipcmgr.Config{Protocol: ipcmgr.Names{p}, Serializer: "msgpack"}, *kills)
				return
			}
			for _, sync := range []bool{false, true} {
				t.Run(fmt.Sprintf("sync=%v", sync), func(t *testing.T) {
					cfg := ipcmgr.Config{Protocol: ipcmgr.Names{p}, Serializer: "json", Sync: &sync}
					if sync {
						cfg.Serializer = "msgpack"
					}
					crashes(t, cfg, (*kills+1)/2)
				})
			}
		})
	}
}

func crashes(t *testing.T, cfg ipcmgr.Config, kills int) {
	d := newDirector(t, cfg)
	spared := -1
	if !d.keeps {
		spared = 0 // so that the audit has one sender's true counts
	}
	n := 0
	for f := range schedule(rand.New(rand.NewPCG(*seed, 0)), len(d.troupe), spared) {
		d.commit(f)
		d.check()
		if n++; n%40 == 0 {
			d.quiet()
		}
		if d.enough(kills) {
			break
		}
	}
	d.quiet()
	d.curtain()
	d.report()
}

// director runs a crash test.
type director struct {
	t       *testing.T
	cfg     ipcmgr.Config
	keeps   bool
	status  *status
	troupe  []*member
	absent  *member // killed, and to return after the next fault
	readers []*journalReader
	waiting [][][]string // by member: lines whose arrivals are not checked yet
	checker *checker
	hits    [acts]int // kills, by what they interrupted
	kills   int
	under   int // those of them that interrupted something
	stops   int
	over    bool // all are told to end
}

func newDirector(t *testing.T, cfg ipcmgr.Config) *director {
	dir, err := os.MkdirTemp(trial.Parent(cfg.Protocol[0]), "crash") // a socket's address must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the store and the journals are left in %s", dir)
			return
		}
		os.RemoveAll(dir)
	})
	cfg.Route = filepath.Join(dir, "s")
	cfg.MaxPending = 300
	d := &director{t: t, cfg: cfg}
	if d.status, err = openStatus(filepath.Join(dir, "status")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.status.close() })
	s, err := ipcmgr.Spawn(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.keeps = s.Features().Redelivers
	d.checker = newChecker(d.keeps)
	if err := errors.Join(s.Detach(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	for n, p := range []part{
		{ID: "a", To: []string{"c", "d", "e"}, Rests: true},
		{ID: "b", To: []string{"c", "d", "f"}, Rests: true},
		{ID: "c", Receives: true, Rests: true},
		{ID: "d", Receives: true, Rests: true},
		{ID: "e", Receives: true, To: []string{"c", "f"}},
		{ID: "f", Receives: true, To: []string{"d", "e"}},
		{ID: "owner"},
	} {
		p.Slot, p.Dir, p.Config, p.Seed = n, dir, cfg, *seed
		m := &member{part: p, role: "player"}
		if p.ID == "owner" {
			m.role = "owner"
		}
		d.troupe = append(d.troupe, m)
		d.readers = append(d.readers, &journalReader{path: journalOf(dir, p.ID)})
		d.start(m)
	}
	d.waiting = make([][][]string, len(d.troupe))
	t.Cleanup(func() {
		for _, m := range d.troupe {
			if t.Failed() {
				t.Log(m.stacks())
			}
			if !m.ended() {
				m.kill(t)
			}
		}
	})
	return d
}

func (d *director) start(m *member) {
	d.t.Helper()
	d.checker.starts(m.ID, now())
	if err := m.start(); err != nil {
		d.t.Fatal(err)
	}
}

// commit does one fault.
func (d *director) commit(f fault) {
	d.t.Helper()
	m, back := d.troupe[f.victim], d.absent
	d.absent = nil
	if m == back {
		d.start(m)
		back = nil
	}
	m.begun(d.t)
	d.pause(f.wait)
	if f.stop > 0 {
		d.stops++
		d.signal(m, unix.SIGSTOP)
		d.pause(f.stop)
	}
	switch {
	case f.kill:
		d.kill(m)
		if f.absent {
			d.absent = m
		} else {
			d.start(m)
		}
	default:
		d.signal(m, unix.SIGCONT)
	}
	if back != nil {
		d.start(back)
	}
}

// pause lets the players play until the moment of a fault.
func (d *director) pause(wait time.Duration) {
	if wait > 0 {
		<-time.After(wait)
	}
}

func (d *director) signal(m *member, s unix.Signal) {
	d.t.Helper()
	if err := m.signal(s); err != nil || m.ended() {
		<-m.done
		d.t.Fatalf("%s ended in life %d: %v\n%s", m.ID, m.Life, m.err, m.says)
	}
}

func (d *director) kill(m *member) {
	d.t.Helper()
	if m.ended() {
		d.t.Fatalf("%s ended in life %d: %v\n%s", m.ID, m.Life, m.err, m.says)
	}
	m.kill(d.t)
	d.kills++
	d.checker.dies(m.ID, now(), true)
	busy := false
	for _, act := range d.status.clear(m.Slot) {
		if act != resting {
			d.hits[act]++
			busy = true
		}
	}
	if busy {
		d.under++
	}
}

// check looks at what the journals have that is new. An arrival is checked
// only when what was sent has been read once more, for the two may be in
// different journals.
func (d *director) check() {
	d.t.Helper()
	d.present()
	due := d.waiting
	d.waiting = make([][][]string, len(d.troupe))
	for n, r := range d.readers {
		var err error
		if d.waiting[n], err = r.next(); err != nil {
			d.t.Fatal(err)
		}
		for _, line := range d.waiting[n] {
			d.checker.sentBy(d.troupe[n].ID, line)
		}
	}
	for n, lines := range due {
		for _, line := range lines {
			d.checker.arrivedAt(d.troupe[n].ID, line)
		}
	}
	if len(d.checker.complaints) > 0 {
		for _, c := range d.checker.complaints {
			d.t.Error(c)
		}
		d.t.FailNow()
	}
}

// present holds that nobody has ended by himself.
func (d *director) present() {
	d.t.Helper()
	for _, m := range d.troupe {
		if m != d.absent && !d.over && m.ended() {
			d.t.Fatalf("%s ended in life %d: %v\n%s", m.ID, m.Life, m.err, m.says)
		}
	}
}

// quiet leaves all alone, and waits until of each pair something that was sent
// since has arrived: nobody hangs because of what happened to another.
func (d *director) quiet() {
	d.t.Helper()
	if d.absent != nil {
		d.start(d.absent)
		d.absent = nil
	}
	since := now()
	for end := time.Now().Add(patience); ; <-time.After(5 * time.Millisecond) {
		d.check()
		key, some := d.checker.behind(since)
		if !some {
			return
		}
		if time.Now().After(end) {
			d.t.Fatalf("nothing arrives any more from %s to %s", key[0], key[1])
		}
	}
}

// curtain ends the play in order: first nobody sends, then all leave.
func (d *director) curtain() {
	d.t.Helper()
	d.over = true
	for _, what := range []string{sayQuiet, sayLeave} {
		for _, m := range d.troupe {
			if err := m.tell(what); err != nil {
				d.t.Fatal(err)
			}
		}
	}
	for _, m := range d.troupe {
		m.left(d.t)
		d.checker.dies(m.ID, now(), false)
	}
	d.check()
	d.check() // the arrivals that the first has read
	d.checker.finish()
	d.check()

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := ipcmgr.Adopt(ctx, d.cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	audit, err := s.Audit(ctx)
	if err != nil {
		d.t.Error(err)
	}
	d.compare(audit)
	var counts *ipcmgr.AuditError
	if err := s.Shutdown(ctx); err != nil && !errors.As(err, &counts) {
		d.t.Error(err)
	}
	if _, err := os.Lstat(d.cfg.Route); !errors.Is(err, os.ErrNotExist) {
		d.t.Errorf("the store is still there after it was shut down: %v", err)
	}
}

// compare holds that the audit does not call a pair equal of which something
// is lost, as far as the sender's counts are whole.
func (d *director) compare(audit *ipcmgr.Audit) {
	for _, p := range audit.Pairs {
		if p.From != d.troupe[0].ID || d.keeps {
			continue
		}
		if t := d.checker.tallyOf([2]string{p.From, p.To}); t.lost > 0 && !p.Failed() {
			d.t.Errorf("%d messages are lost, and the audit says %v", t.lost, &p)
		}
	}
}

// enough says whether there were as many kills as asked for, and half as many
// that interrupted something: on a slow machine most find somebody who waits.
func (d *director) enough(kills int) bool {
	d.t.Helper()
	if d.kills >= 5*kills {
		d.t.Fatalf("only %d of %d kills hit an operation under way", d.under, d.kills)
	}
	return d.kills >= kills && 2*d.under >= kills
}

func (d *director) report() {
	t := d.checker.tally()
	var hits strings.Builder
	for act, n := range d.hits {
		if n > 0 {
			fmt.Fprintf(&hits, " %s %d", actNames[act], n)
		}
	}
	trial.Report(d.t, "%d kills, %d of them of an operation under way:%s; %d stops; %d messages accepted, %d arrived, "+
		"%d again, %d lost; %d refused; %d under way at a kill, of which %d arrived",
		d.kills, d.under, hits.String(), d.stops, t.accepted, t.arrived, t.twice, t.lost, t.refused, t.maybe, t.maybeArrived)
}
