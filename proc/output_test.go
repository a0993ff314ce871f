package proc

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine+10)
	for in, want := range map[string][]string{
		"":                    nil,
		"a\nb\n":              {"a", "b"},
		"a\nb":                {"a", "b"},
		"\n\n":                {"", ""},
		"dos\r\n":             {"dos"},
		long + "\n":           {long[:maxLine], "xxxxxxxxxx"},
		long[:maxLine] + "\n": {long[:maxLine]},
	} {
		for _, size := range []int{1, 3, 1 << 20} { // of a Write
			var got []string
			l := &lines{f: func(line string) { got = append(got, line) }}
			_, err := io.CopyBuffer(l, onlyReader{strings.NewReader(in)}, make([]byte, size))
			require.NoError(t, err)
			l.flush()
			require.Equal(t, want, got)
		}
	}
}

type onlyReader struct{ io.Reader }

func TestTail(t *testing.T) {
	tell := func(text string) string {
		var tl tail
		for part := range strings.SplitAfterSeq(text, "\n") {
			_, err := io.WriteString(&tl, part)
			require.NoError(t, err)
		}
		return tl.String()
	}
	require.Equal(t, "", (*tail)(nil).String())
	require.Equal(t, "", tell(""))
	require.Equal(t, "a\nb", tell("\na\nb\n\n"))
	require.Equal(t, "a\uFFFDb", tell("a\xffb"))

	var many strings.Builder
	for n := range 10000 {
		fmt.Fprintln(&many, "line", n)
	}
	require.Equal(t, tailLines, len(strings.Split(tell(many.String()), "\n")))
	require.True(t, strings.HasSuffix(tell(many.String()), "line 9999"))
	require.Len(t, tell(strings.Repeat("x", 2*tailBytes)), tailBytes)

	told := tell("before\npanic: oh\n\n" + strings.Repeat("\tgoroutine\n", 50))
	require.True(t, strings.HasPrefix(told, "panic: oh\n"))
}

// What the user's writer does to itself is not our loss.
func TestTeeToABrokenWriter(t *testing.T) {
	var tl tail
	_, err := io.WriteString(tee(broken{}, &tl), "still heard")
	require.Error(t, err)
	require.Equal(t, "still heard", tl.String())
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestSameWriter(t *testing.T) {
	require.True(t, sameWriter(nil, nil))
	require.True(t, sameWriter(io.Discard, io.Discard))
	require.False(t, sameWriter(io.Discard, nil))
	require.False(t, sameWriter(uncomparable{}, uncomparable{}))
}

type uncomparable []byte

func (uncomparable) Write(p []byte) (int, error) { return len(p), nil }
