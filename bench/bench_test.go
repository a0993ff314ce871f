package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

const playEnv = "IPCMGR_BENCH_PLAY"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	if os.Getenv(playEnv) != "" {
		if err := measure.Play(findFaulty, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// plan is a small measurement of one lane.
func plan(t *testing.T, lane string, size int, shapes ...measure.Shape) *measure.Plan {
	dir, err := os.MkdirTemp("", "b") // short, to leave room for a socket's name
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return &measure.Plan{
		Tasks:    []measure.Task{{Row: measure.Row{Lane: lane, Size: size, Dir: dir}, Shapes: shapes}},
		Rounds:   1,
		Messages: 150,
		Find:     findFaulty,
		Command: func() *exec.Cmd {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), playEnv+"=1")
			return cmd
		},
	}
}

// Every lane moves small and large messages in every shape.
func TestLanes(t *testing.T) {
	for _, lane := range lanesHere() {
		t.Run(lane.Name, func(t *testing.T) {
			for _, size := range []int{measure.MinSize, 70_000} {
				results, err := plan(t, lane.Name, size, shapes(lane)...).Run(t.Context())
				require.NoError(t, err)
				require.Len(t, results[0].Figures, len(shapes(lane)))
			}
		})
	}
}

// The faults that no lane may have without failing the row.
var faults = []struct{ name, error string }{
	{"loses", "message 3 came where 2 should"},
	{"repeats", "message 2 came again"},
	{"damages", "a message is damaged"},
}

func TestFaults(t *testing.T) {
	for _, lane := range others() {
		for _, f := range faults {
			if lane.Unordered && f.name == "loses" {
				continue // it is waited for, as long as others may still come
			}
			t.Run(lane.Name+"/"+f.name, func(t *testing.T) {
				_, err := plan(t, f.name+" "+lane.Name, 64, measure.Send).Run(t.Context())
				require.ErrorContains(t, err, f.error)
			})
		}
	}
}

// findFaulty finds lanes, also those whose host spoils its third message.
func findFaulty(name string) (measure.Lane, error) {
	for _, f := range faults {
		if of, ok := strings.CutPrefix(name, f.name+" "); ok {
			lane, err := find(of)
			host := lane.Host
			lane.Host = func(ctx context.Context, p measure.Place) (string, func() (measure.End, error), error) {
				addr, meet, err := host(ctx, p)
				return addr, func() (measure.End, error) {
					e, err := meet()
					return &faulty{End: e, fault: f.name}, err
				}, err
			}
			return lane, err
		}
	}
	return find(name)
}

// faulty is an end that spoils its third message.
type faulty struct {
	measure.End
	fault string
	n     int
}

func (f *faulty) Send(content any) error {
	if f.n++; f.n != 3 {
		return f.End.Send(content)
	}
	switch f.fault {
	case "loses":
		return nil
	case "repeats":
		if err := f.End.Send(content); err != nil {
			return err
		}
	case "damages":
		b := append([]byte{}, content.([]byte)...)
		b[len(b)-1] ^= 1
		content = b
	}
	return f.End.Send(content)
}

// Range is for the lane that has one end only.
func (f *faulty) Range(into []byte, batch int, see func([]byte) (bool, error)) error {
	return f.End.(measure.Ranger).Range(into, batch, see)
}

// Each target can be measured and told.
func TestTargets(t *testing.T) {
	names := map[string]bool{}
	for _, target := range targets() {
		require.NotContains(t, names, target.about)
		names[target.about] = true
		for _, f := range []figure{target.ours, target.theirs} {
			if f.row.Lane == "" {
				require.True(t, target.mallocs)
				continue
			}
			lane, err := find(f.row.Lane)
			if strings.HasPrefix(f.row.Lane, "shm") && err != nil {
				continue // not everywhere
			}
			require.NoError(t, err)
			require.Equal(t, f.row.Lane, lane.Name)
		}
	}
	rate := target{target: 2, stretch: 3}
	require.Equal(t, []string{"MISSED", "reached", "stretch"}, []string{rate.verdict(1.9, false), rate.verdict(2, false), rate.verdict(3.1, false)})
	trip := target{target: 0.9}
	require.Equal(t, []string{"MISSED", "reached"}, []string{trip.verdict(1, true), trip.verdict(0.5, true)})
}

// What is asked for is measured once, and what is not there is said.
func TestTasks(t *testing.T) {
	o := options{rows: "zmq,zmq4", sizes: "64,64", pins: "free,free,one", reference: measure.RawUnix().Name}
	var p measure.Plan
	require.NoError(t, o.tasks(&p))
	require.Len(t, p.Tasks, 4, "the lane and the reference, free and on one processor")
	for change, want := range map[*options]string{
		{rows: "zmq,nosuch", sizes: "64", pins: "free"}:            `no lane has "nosuch" in its name`,
		{sizes: "abc", pins: "free"}:                               `-size "abc" must be a number of bytes`,
		{sizes: "", pins: "free"}:                                  `-size "" must be a number of bytes`,
		{sizes: "64", pins: "three"}:                               `-pin "three" must be free, one or two`,
		{sizes: "64", pins: "free", reference: "raw unix sockets"}: `there is no lane "raw unix sockets"`,
	} {
		if change.reference == "" {
			change.reference = o.reference
		}
		require.ErrorContains(t, change.tasks(&measure.Plan{}), want)
	}
}
