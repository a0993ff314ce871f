package measure_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

// odd makes a lane what its name says, if that is one of those here.
func odd(lane *measure.Lane, name string) bool {
	kind, what, _ := strings.Cut(name, ": ")
	switch {
	case kind == "kept" || kind == "memory":
		lane.Name, lane.Durable, lane.Memory = name, what, kind == "memory"
	case kind == "sour":
		host := lane.Host
		lane.Name = name
		lane.Host = func(ctx context.Context, p measure.Place) (string, func() (measure.End, error), error) {
			addr, meet, err := host(ctx, p)
			return addr, func() (measure.End, error) {
				e, err := meet()
				return &sour{e, what}, err
			}, err
		}
	default:
		return false
	}
	return true
}

// sour is an end that has something to say.
type sour struct {
	measure.End
	when string
}

func (s *sour) Send(content any) error {
	if s.when == "soon" {
		fmt.Fprint(os.Stderr, "woe\nis me\n")
		os.Exit(3)
	}
	return s.End.Send(content)
}

func (s *sour) Close() error {
	return errors.Join(errors.New("left in sorrow"), s.End.Close())
}

// A lane that fails is a row that says why; the others are measured.
func TestOneFails(t *testing.T) {
	dir, raw := t.TempDir(), measure.RawUnix().Name
	results, err := plan(
		measure.Row{Lane: "faulty: damages", Size: 64, Dir: dir},
		measure.Row{Lane: "nowhere", Size: 64, Dir: dir},
		measure.Row{Lane: raw, Size: 64, Dir: dir},
	).Run(t.Context())
	require.ErrorContains(t, err, "2 of 3 rows failed: faulty: damages, 64 bytes: send: ")
	require.ErrorContains(t, err, "nowhere, 64 bytes: no such lane")
	require.Len(t, results, 3)
	require.Contains(t, results[0].Error, "a message is damaged")
	require.Empty(t, results[0].Figures)
	require.Equal(t, "no such lane", results[1].Error)
	require.Empty(t, results[2].Error)
	require.Len(t, results[2].Figures, 4)
	var out strings.Builder
	require.NoError(t, measure.Table(&out, results, raw))
	require.Contains(t, out.String(), "FAILED: no such lane\n")
}

// What a process says that ends by itself is in the reason; what it complains
// about when the run was given up is not.
func TestLastWords(t *testing.T) {
	_, err := plan(measure.Row{Lane: "sour: soon", Size: 64, Dir: t.TempDir()}).Run(t.Context())
	require.ErrorContains(t, err, "sour: soon, 64 bytes: send: the host process: exit status 3: woe; is me")

	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	p := plan(measure.Row{Lane: "sour: at the end", Size: 64, Dir: t.TempDir()})
	p.Progress = func(int, int, measure.Row) { cancel(enough) }
	results, err := p.Run(ctx)
	require.ErrorIs(t, err, enough)
	require.EqualError(t, err, "enough", "and nothing that follows from it")
	require.Nil(t, results)
	_, err = plan(measure.Row{Lane: "sour: at the end", Size: 64, Dir: t.TempDir()}).Run(t.Context())
	require.ErrorContains(t, err, "the host process: exit status 1: left in sorrow")
}

// What a killed run left is gone after the next one; what is not its own stays.
func TestClearsAway(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"bench1/.ipcmgr-bench", "bench1/1/ipcmgr/abcdefgh/file", "bench-mine/results", "other/.ipcmgr-bench"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, path), nil, 0o600))
	}
	p := plan(measure.Row{Lane: measure.RawUnix().Name, Size: 64, Dir: dir})
	p.Progress = func(step, _ int, _ measure.Row) {
		if step == 1 { // another run in the same place leaves this one alone
			_, err := plan(measure.Row{Lane: measure.RawUnix().Name, Size: 64, Dir: dir}).Run(t.Context())
			require.NoError(t, err)
		}
	}
	_, err := p.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"bench-mine", "other"}, entries(t, dir))
}

func entries(t *testing.T, dir string) (names []string) {
	all, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}
