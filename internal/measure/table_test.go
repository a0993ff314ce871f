package measure_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

func TestTable(t *testing.T) {
	calls := 2.5
	results := []measure.Result{{
		Row: measure.Row{Lane: "a", Size: 64}, Durable: "nothing",
		Figures: map[measure.Shape]measure.Figure{
			measure.Send:  {Rate: 2e6, CPU: 1, Mallocs: 0.5, Calls: &calls},
			measure.Batch: {Rate: 4e6, Calls: &calls},
			measure.Trip:  {Trips: &measure.Trips{P50: 20, P99: 30}},
			measure.Idle:  {Trips: &measure.Trips{P50: 50, P99: 60}},
		},
	}, {
		Row: measure.Row{Lane: "b", Size: 64, Kept: true}, Durable: "all",
		Figures: map[measure.Shape]measure.Figure{measure.Send: {Rate: 5000}},
	}, {
		Row: measure.Row{Lane: "b", Size: 64, Placement: measure.Two}, Durable: "all",
		Figures: map[measure.Shape]measure.Figure{measure.Send: {Rate: 500}},
	}}
	var out strings.Builder
	require.NoError(t, measure.Table(&out, results, "a"))
	var got [][]string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Fields(strings.ReplaceAll(line, "× REF", "×")))
	}
	require.Equal(t, [][]string{
		strings.Fields("LANE BYTES SEND × BATCH × TRIP P50 × P99 P99.9 IDLE CPU ALLOCS CALLS KEEPS"),
		strings.Fields("a 64 2.00 M 1.00 4.00 M 1.00 20.0 1.00 30.0 - 50.0 1.00/0.00 0.50/0.00 2.50/2.50 nothing"),
		strings.Fields("b, kept 64 5.00 k 0.0025 - - - - - - - 0.00/0.00 0.00/0.00 - all"),
		strings.Fields("b, two 64 500 - - - - - - - - 0.00/0.00 0.00/0.00 - all"),
	}, got)
}
