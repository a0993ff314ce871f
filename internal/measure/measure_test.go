package measure_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

const playEnv = "IPCMGR_MEASURE_PLAY"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	if os.Getenv(playEnv) != "" {
		if err := measure.Play(find, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// find gives the raw lane, or one that is like it and has the fault that its
// name says.
func find(name string) (measure.Lane, error) {
	lane := measure.RawUnix()
	if odd(&lane, name) {
		return lane, nil
	}
	if fault, ok := strings.CutPrefix(name, "faulty: "); ok {
		lane.Name = name
		lane.Unordered = strings.HasSuffix(fault, "unordered")
		host := lane.Host
		lane.Host = func(ctx context.Context, p measure.Place) (string, func() (measure.End, error), error) {
			addr, meet, err := host(ctx, p)
			return addr, func() (measure.End, error) {
				e, err := meet()
				return &faulty{End: e, fault: strings.TrimSuffix(fault, " unordered")}, err
			}, err
		}
		return lane, nil
	}
	if name != lane.Name {
		return lane, errors.New("no such lane")
	}
	return lane, nil
}

// faulty is an end that spoils its third message.
type faulty struct {
	measure.End
	fault string
	n     int
	held  []byte
}

func (f *faulty) Send(content any) error {
	f.n++
	if f.n == 4 && f.held != nil {
		if err := f.End.Send(content); err != nil {
			return err
		}
		return f.End.Send(any(f.held))
	}
	if f.n != 3 {
		return f.End.Send(content)
	}
	b := append([]byte{}, content.([]byte)...)
	switch f.fault {
	case "loses":
		return nil
	case "repeats":
		if err := f.End.Send(content); err != nil {
			return err
		}
	case "damages":
		b[len(b)-1] ^= 1
	case "shortens":
		b = b[:len(b)-1]
	case "reorders":
		f.held = b
		return nil
	case "fails":
		return errors.New("the lane is broken")
	}
	return f.End.Send(any(b))
}

func plan(rows ...measure.Row) *measure.Plan {
	p := &measure.Plan{
		Rounds:   2,
		Messages: 250,
		Find:     find,
		Command: func() *exec.Cmd {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), playEnv+"=1")
			return cmd
		},
	}
	for _, r := range rows {
		p.Tasks = append(p.Tasks, measure.Task{Row: r, Shapes: []measure.Shape{measure.Send, measure.Batch, measure.Trip, measure.Idle}})
	}
	return p
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	raw := measure.RawUnix()
	p := plan(
		measure.Row{Lane: raw.Name, Size: 12, Dir: dir},
		measure.Row{Lane: raw.Name, Size: 5000, Kept: true, Dir: dir},
	)
	p.Calls = true
	steps := 0
	p.Progress = func(step, of int, _ measure.Row) {
		require.Equal(t, steps, step)
		require.Less(t, step, of)
		steps++
	}
	results, err := p.Run(t.Context())
	require.NoError(t, err)
	require.Len(t, results, 2)
	for i, r := range results {
		require.Equal(t, p.Tasks[i].Row, r.Row)
		require.Equal(t, raw.Durable, r.Durable)
		require.Len(t, r.Figures, 4)
		for shape, f := range r.Figures {
			require.Positive(t, f.Rate, shape)
			require.Positive(t, f.Messages, shape)
		}
		trips := r.Figures[measure.Trip].Trips
		require.Positive(t, trips.P50)
		require.LessOrEqual(t, trips.P50, trips.P99)
		require.Nil(t, trips.P999, "500 trips are too few")
		if _, err := exec.LookPath("strace"); err == nil {
			require.NotNil(t, r.Figures[measure.Send].Calls)
			require.Nil(t, r.Figures[measure.Idle].Calls)
		}
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// Each message that is sent alone is written, and many are written at once in a
// batch. Go's runtime makes calls by the clock, which a run that was held up has
// more of; but not every run is.
func TestCalls(t *testing.T) {
	if _, err := exec.LookPath("strace"); runtime.GOOS != "linux" || err != nil {
		return
	}
	p := plan(measure.Row{Lane: measure.RawUnix().Name, Size: 12, Dir: t.TempDir()})
	p.Tasks[0].Shapes = []measure.Shape{measure.Send, measure.Batch}
	p.Rounds, p.Messages, p.Calls = 1, 2000, true
	var figures map[measure.Shape]measure.Figure
	for range 5 {
		results, err := p.Run(t.Context())
		require.NoError(t, err)
		figures = results[0].Figures
		if *figures[measure.Send].Calls > 0.9 && *figures[measure.Batch].Calls < *figures[measure.Send].Calls {
			return
		}
	}
	t.Fatalf("system calls: %v for a message, %v in a batch", *figures[measure.Send].Calls, *figures[measure.Batch].Calls)
}

// What makes a figure a lie fails the run.
func TestFaults(t *testing.T) {
	for fault, want := range map[string]string{
		"loses":             "message 3 came where 2 should",
		"repeats":           "message 2 came again",
		"damages":           "a message is damaged",
		"shortens":          "a message has 63 bytes and not 64",
		"reorders":          "message 3 came where 2 should",
		"fails":             "the lane is broken",
		"repeats unordered": "message 2 came again",
	} {
		t.Run(fault, func(t *testing.T) {
			_, err := plan(measure.Row{Lane: "faulty: " + fault, Size: 64, Dir: t.TempDir()}).Run(t.Context())
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, "faulty: "+fault+", 64 bytes: send")
		})
	}
}

func TestUnordered(t *testing.T) {
	p := plan(measure.Row{Lane: "faulty: reorders unordered", Size: 64, Dir: t.TempDir()})
	p.Tasks[0].Shapes = []measure.Shape{measure.Send}
	_, err := p.Run(t.Context())
	require.NoError(t, err)
}

// A lost message at the very end is missed at once.
func TestLastLost(t *testing.T) {
	p := plan(measure.Row{Lane: "faulty: loses", Size: 64, Dir: t.TempDir()})
	p.Messages = 1 // after a turn of one that warms up, each with what ends it
	p.Tasks[0].Shapes = []measure.Shape{measure.Send}
	_, err := p.Run(t.Context())
	require.ErrorContains(t, err, "messages were sent and")
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	dir := t.TempDir()
	p := plan(measure.Row{Lane: measure.RawUnix().Name, Size: 64, Dir: dir})
	p.Messages = 10_000_000
	p.Progress = func(int, int, measure.Row) { cancel(cause) }
	_, err := p.Run(ctx)
	require.ErrorIs(t, err, cause)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestPlacement(t *testing.T) {
	if runtime.GOOS == "linux" {
		_, err := plan(measure.Row{Lane: measure.RawUnix().Name, Size: 64, Placement: measure.One}).Run(t.Context())
		require.NoError(t, err)
	}
	p := plan(measure.Row{Lane: measure.RawUnix().Name, Size: 64, Placement: "nowhere"})
	_, err := p.Run(t.Context())
	require.ErrorContains(t, err, `placement "nowhere"`)
}
