package proc

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The supervisor's decisions, in virtual time: workers are played, and crash
// when they are told to.

var (
	errCrash   = errors.New("crashed as told")
	errDoorway = errors.New("cannot start")
)

// life of one start of a played worker.
type script struct {
	launch error         // why it cannot be started
	ready  time.Duration // when it is connected; negative: never
	lasts  time.Duration // from then to its end; 0: until it is stopped
	end    error
}

// played is a worker without a process.
type played struct {
	script
	done chan struct{}
	once sync.Once
	err  error
}

func newPlayed(s script) *played { return &played{script: s, done: make(chan struct{})} }

func (p *played) Done() <-chan struct{} { return p.done }

func (p *played) Ready(ctx context.Context) error {
	if p.ready >= 0 && pause(ctx, p.ready) {
		if p.lasts > 0 {
			time.AfterFunc(p.lasts, func() { p.finish(p.end) })
		}
		return nil
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func (p *played) finish(err error) {
	p.once.Do(func() {
		p.err = err
		close(p.done)
	})
}

func (p *played) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *played) Stop(context.Context) error {
	<-time.After(time.Second) // of the bubble: it takes its time
	p.finish(nil)
	return p.err
}

func (p *played) makeWay(ctx context.Context) error { return p.Stop(ctx) }

// play runs a supervisor of workers that follow their scripts, one for each
// start, the last for all further ones; and returns what happened and when.
func play(t *testing.T, strategy Strategy, scripts map[string][]script, during func(t *testing.T, s *Supervisor)) (events []string, err error) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		starts := map[string]int{}
		h := hands{
			random: func() float64 { return 0 },
			launch: func(_ context.Context, spec Spec) (worker, error) {
				mu.Lock()
				defer mu.Unlock()
				all := scripts[spec.ID]
				n := min(starts[spec.ID], len(all)-1)
				starts[spec.ID]++
				if all[n].launch != nil {
					return nil, all[n].launch
				}
				return newPlayed(all[n]), nil
			},
		}
		var specs []Spec
		for _, id := range []string{"a", "b", "c"} {
			if scripts[id] != nil {
				specs = append(specs, Spec{ID: id, Cmd: func() *exec.Cmd { return nil }})
			}
		}
		began := time.Now()
		s := supervise(t.Context(), h, strategy, specs)
		if during != nil {
			during(t, s)
		}
		for e := range s.Events(t.Context()) {
			events = append(events, fmt.Sprintf("%v %s %s", e.Time.Sub(began), e.ID, e.What))
		}
		err = s.Wait(t.Context())
	})
	return events, err
}

func TestOneForOne(t *testing.T) {
	events, err := play(t, Strategy{Restarts: 5}, map[string][]script{
		"a": {{lasts: time.Minute, end: errCrash}, {ready: time.Second, lasts: time.Hour}},
		"b": {{lasts: 2 * time.Minute}},
	}, nil)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"0s a started", "0s a ready", "0s b started", "0s b ready"}, events[:4])
	require.Equal(t, []string{
		"1m0s a crashed",
		"1m0.05s a restarted",
		"1m1.05s a ready",
		"2m0s b ended",
		"1h1m1.05s a ended",
	}, events[4:])
}

func TestAllForOne(t *testing.T) {
	events, err := play(t, Strategy{Restarts: 5, AllForOne: true}, map[string][]script{
		"a": {{lasts: time.Minute, end: errCrash}, {lasts: time.Hour}},
		"b": {{}, {lasts: time.Minute}},
		"c": {{lasts: time.Second}}, // its work is done before
	}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"1s c ended", "1m0s a crashed", "1m1s b stopped"}, events[6:9])
	require.ElementsMatch(t, []string{"1m1.05s a restarted", "1m1.05s a ready", "1m1.05s b restarted", "1m1.05s b ready"}, events[9:13])
	require.Equal(t, []string{"2m1.05s b ended", "1h1m1.05s a ended"}, events[13:])
}

func TestBackoffGrows(t *testing.T) {
	events, err := play(t, Strategy{Restarts: 4, Backoff: time.Second, MaxBackoff: 3 * time.Second}, map[string][]script{
		"a": {{launch: errDoorway}, {launch: errDoorway}, {launch: errDoorway}, {lasts: time.Minute, end: errCrash}, {lasts: time.Minute}},
	}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{
		"0s a crashed",
		"1s a crashed",
		"3s a crashed",
		"6s a restarted", "6s a ready",
		"1m6s a crashed",
		"1m7s a restarted", "1m7s a ready", // it had been well for longer than MaxBackoff
		"2m7s a ended",
	}, events)
}

func TestGivesUp(t *testing.T) {
	events, err := play(t, Strategy{Restarts: 2, Per: time.Minute, Backoff: time.Second}, map[string][]script{
		"a": {{lasts: time.Second, end: errCrash}},
		"b": {{}},
	}, nil)
	require.ErrorIs(t, err, errCrash)
	require.ErrorContains(t, err, "more than 2 restarts within 1m0s")
	require.Equal(t, []string{
		"1s a crashed", "2s a restarted", "2s a ready",
		"3s a crashed", "5s a restarted", "5s a ready",
		"6s a crashed", "7s b stopped", "7s  gave up",
	}, events[4:])
}

// The zero Strategy restarts nobody.
func TestZeroStrategy(t *testing.T) {
	events, err := play(t, Strategy{}, map[string][]script{"a": {{lasts: time.Second, end: errCrash}}}, nil)
	require.ErrorIs(t, err, errCrash)
	require.Equal(t, []string{"0s a started", "0s a ready", "1s a crashed", "1s  gave up"}, events)
}

// Restarts that are long ago do not count.
func TestIntensity(t *testing.T) {
	i := intensity{max: 2, per: time.Minute}
	now := time.Now()
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {time.Second, true}, {2 * time.Second, false}, {time.Minute, true}, {time.Minute, false}, {61 * time.Second, true}} {
		require.Equal(t, step.want, i.allows(now.Add(step.after)), step.after)
	}
}

func TestJitter(t *testing.T) {
	s := Strategy{}.withDefaults()
	require.Equal(t, 50*time.Millisecond, s.backoff(0, 0))
	require.Equal(t, 25*time.Millisecond, s.backoff(0, 1))
	require.Equal(t, 10*time.Second, s.backoff(1000, 0))
	require.Equal(t, 5*time.Second, s.backoff(1000, 1))
	require.Equal(t, time.Millisecond, Strategy{MaxBackoff: time.Millisecond}.withDefaults().backoff(0, 0))
}

// A worker that does not connect in time is killed and counts as crashed.
func TestStartTimeout(t *testing.T) {
	events, err := play(t, Strategy{Restarts: 1, StartTimeout: time.Minute}, map[string][]script{
		"a": {{ready: -1}, {lasts: time.Second}},
	}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"0s a started", "1m1s a crashed", "1m1.05s a restarted", "1m1.05s a ready", "1m2.05s a ended"}, events)
}

func TestStopASupervisor(t *testing.T) {
	for _, together := range []bool{false, true} {
		events, err := play(t, Strategy{Restarts: 1, AllForOne: together}, map[string][]script{"a": {{}}, "b": {{ready: time.Hour}}}, func(t *testing.T, s *Supervisor) {
			synctest.Wait()
			require.NoError(t, s.Stop(t.Context()))
			require.ErrorIs(t, s.Ready(t.Context()), ErrStopped)
		})
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"0s a started", "0s a ready", "0s b started", "1s a stopped", "1s b stopped"}, events)
	}
}

// It can be stopped while it waits to restart.
func TestStopDuringBackoff(t *testing.T) {
	events, err := play(t, Strategy{Restarts: 1, Backoff: time.Hour, MaxBackoff: time.Hour}, map[string][]script{
		"a": {{lasts: time.Second, end: errCrash}},
	}, func(t *testing.T, s *Supervisor) {
		<-time.After(time.Minute) // of the bubble
		require.NoError(t, s.Stop(t.Context()))
	})
	require.NoError(t, err)
	require.Equal(t, []string{"0s a started", "0s a ready", "1s a crashed"}, events)
}

func TestReadyWaits(t *testing.T) {
	_, err := play(t, Strategy{StartTimeout: time.Hour}, map[string][]script{
		"a": {{ready: time.Minute, lasts: time.Hour}},
		"b": {{lasts: time.Second}}, // done is as good as ready
	}, func(t *testing.T, s *Supervisor) {
		began := time.Now()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.Ready(short)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, `worker "a" is not connected`)
		require.NoError(t, s.Ready(t.Context()))
		require.Equal(t, time.Minute, time.Since(began))
	})
	require.NoError(t, err)
}

func TestSupervisorEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reason := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		h := hands{launch: func(context.Context, Spec) (worker, error) {
			return newPlayed(script{}), nil
		}}
		s := supervise(ctx, h, Strategy{}, []Spec{{ID: "a"}})
		require.NoError(t, s.Ready(t.Context()))
		cancel(reason)
		require.ErrorIs(t, s.Wait(t.Context()), reason)
	})
}

// A reader of events that is too slow sees that it missed some.
func TestEventsAreBounded(t *testing.T) {
	var j journal
	j.init()
	for range keptEvents + 5 {
		j.add(Event{What: Started})
	}
	events, changed := j.from(1)
	require.Len(t, events, keptEvents)
	require.Equal(t, 6, events[0].N)
	require.NotNil(t, changed)
	events, _ = j.from(keptEvents + 5)
	require.Len(t, events, 1)
	events, _ = j.from(keptEvents + 6)
	require.Empty(t, events)
	j.close()
	_, changed = j.from(keptEvents + 6)
	require.Nil(t, changed)
}

func TestBadSupervisors(t *testing.T) {
	cmd := func() *exec.Cmd { return nil }
	for want, f := range map[string]func() (*Supervisor, error){
		`worker "a" has no Cmd`: func() (*Supervisor, error) { return Supervise(t.Context(), nil, Strategy{}, Spec{ID: "a"}) },
		`there are two workers`: func() (*Supervisor, error) {
			return Supervise(t.Context(), nil, Strategy{}, Spec{ID: "a", Cmd: cmd}, Spec{ID: "a", Cmd: cmd})
		},
		`number of the Strategy`: func() (*Supervisor, error) { return Supervise(t.Context(), nil, Strategy{Restarts: -1}) },
	} {
		_, err := f()
		require.ErrorContains(t, err, want)
	}
}
