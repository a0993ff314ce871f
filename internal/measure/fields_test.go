package measure_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

// Each field of a result in JSON, and each shape, is explained.
func TestFields(t *testing.T) {
	for _, s := range []measure.Shape{measure.Send, measure.Batch, measure.Trip, measure.Idle, measure.Crowd} {
		require.Regexp(t, `\b`+string(s)+`\b`, measure.Fields)
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[measure.Row](), reflect.TypeFor[measure.Result](), reflect.TypeFor[measure.Figure](),
		reflect.TypeFor[measure.Trips](), reflect.TypeFor[measure.Machine](),
	} {
		for _, f := range reflect.VisibleFields(typ) {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				require.Regexp(t, `\s`+name+`\b`, measure.Fields, "%s.%s", typ, f.Name)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	sizes, err := measure.Sizes([]string{"64", "1024", "64"})
	require.NoError(t, err)
	require.Equal(t, []int{64, 1024}, sizes)
	for text, want := range map[string]string{
		"abc": `"abc" must be a number of bytes from 12 to 1048576`,
		"":    `"" must be a number of bytes`,
		"11":  `"11" must be`, "1048577": `"1048577" must be`, "99999999999999999999": `must be a number of bytes from`,
	} {
		_, err := measure.Sizes([]string{"64", text})
		require.ErrorContains(t, err, want)
	}
	_, err = measure.Sizes(nil)
	require.Error(t, err)
}
