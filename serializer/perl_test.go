package serializer_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/serializer"
)

const perl = "../testdata/perl/"

func parse(t *testing.T, data []byte) serializer.Envelope {
	t.Helper()
	j, _ := both(t)
	var e serializer.Envelope
	require.NoError(t, j.ParseEnvelope(data, &e), "%s", data)
	return e
}

func decode(t *testing.T, e serializer.Envelope) any {
	t.Helper()
	j, _ := both(t)
	var v any
	require.NoError(t, j.DecodeContent(e.Content, &v))
	return v
}

// frames splits what Perl appended: a length of four bytes before each.
func frames(t *testing.T, file string) [][]byte {
	data, err := os.ReadFile(perl + file)
	require.NoError(t, err)
	var all [][]byte
	for len(data) > 0 {
		n := binary.BigEndian.Uint32(data)
		all = append(all, data[4:4+n])
		data = data[4+n:]
	}
	return all
}

func mailbox(t *testing.T, dir string) []serializer.Envelope {
	files, err := filepath.Glob(perl + "messagefiles/" + dir + "/*.ready")
	require.NoError(t, err)
	var all []serializer.Envelope
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		e := parse(t, data)
		assert.Equal(t, filepath.Base(file), string(e.ID)+".ready")
		assert.Equal(t, "alice", string(e.From))
		assert.Empty(t, e.Headers)
		assert.Empty(t, e.Extra)
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b serializer.Envelope) int { return int(a.Micros - b.Micros) })
	return all
}

func TestPerlMailbox(t *testing.T) {
	all := mailbox(t, "bob")
	const request = "01A1F738-21DE-73AF-A836-6C2211915799"
	want := []any{
		map[string]any{"hello": "world"},
		[]any{1.0, 2.5, "3", true, nil},
		"a plain string",
		map[string]any{"u": "h\u00e9\u20ac\U0001f600", "q": "\"\\/\n\t\x7f", "nul": "\x00"},
		map[string]any{"n": []any{0.3, 9007199254740992.0, 0.0, 1e300, "18446744073709551616"}, "t": true, "f": false},
		map[string]any{"deep": []any{[]any{[]any{[]any{[]any{[]any{[]any{[]any{map[string]any{}}}}}}}}}},
		map[string]any{"bytes": "\u00ff\u00fe"},
		map[string]any{"ipcm_request_id": request, "request": map[string]any{"method": "add", "args": []any{1.0, 2.0}}},
		map[string]any{"ipcm_response_id": request, "response": 3.0},
		map[string]any{"ipcm_response_id": request, "response": nil, "ipcm_error": "Internal service error"},
		map[string]any{"terminate": 1.0},
		"to all",
	}
	require.Len(t, all, len(want))
	for i, e := range all {
		assert.Equal(t, want[i], decode(t, e), "message %d", i)
		assert.Equal(t, "bob", string(e.To))
		assert.Equal(t, i >= 10, e.Broadcast)
	}
	assert.EqualValues(t, int64(1795152273386570), all[0].Micros)
	j, _ := both(t)
	var exact struct{ N []any }
	var n struct{ N [2]int64 }
	require.NoError(t, j.DecodeContent(all[4].Content, &exact))
	require.Error(t, j.DecodeContent([]byte(`{"n":[0.3]}`), &n), "0.3 is no int64")
	var numbers struct {
		N []rawNumber `json:"n"`
	}
	require.NoError(t, j.DecodeContent(all[4].Content, &numbers))
	assert.Equal(t, rawNumber("9007199254740993"), numbers.N[1], "no digit is lost before a type is chosen")
}

type rawNumber string

func (r *rawNumber) UnmarshalJSON(data []byte) error { *r = rawNumber(data); return nil }

func TestPerlLongAndReservedIDs(t *testing.T) {
	for dir, id := range map[string]string{
		"h-77919dc9dcf4a86cbdcba3ab0b35428a19cecc8c": strings.Repeat("L", 250),
		"h-ed757374777b92096f7ef7b2f91de1e7afa3f6a2": "h-reserved",
	} {
		all := mailbox(t, dir)
		require.Len(t, all, 2)
		for _, e := range all {
			assert.Equal(t, id, string(e.To))
			assert.True(t, e.Broadcast)
		}
	}
}

func TestPerlPutBack(t *testing.T) {
	all := frames(t, "messagefiles/carol.resume")
	require.Len(t, all, 2)
	for i, data := range all {
		assert.Equal(t, map[string]any{"again": float64(i + 1)}, decode(t, parse(t, data)))
	}
}

func TestPerlStream(t *testing.T) {
	all := frames(t, "connectionunix/alice-to-bob.stream")
	require.Len(t, all, 5)
	j, _ := both(t)
	require.ErrorIs(t, j.ParseEnvelope(all[0], new(serializer.Envelope)), serializer.ErrCorrupt, "a hello is no message")
	assert.Equal(t, map[string]any{"hello": "world"}, decode(t, parse(t, all[1])))
	assert.Equal(t, strings.Repeat("x", 70000), decode(t, parse(t, all[2])))
	assert.Equal(t, map[string]any{"u": "h\u00e9\u20ac\U0001f600"}, decode(t, parse(t, all[3])))
	assert.True(t, parse(t, all[4]).Broadcast)
}

// What Perl wrote is written again so that Perl reads the same.
func TestPerlForwarded(t *testing.T) {
	j, _ := both(t)
	for _, e := range mailbox(t, "bob") {
		b, err := j.AppendEnvelope(nil, &e)
		require.NoError(t, err)
		assert.Equal(t, e, parse(t, b))
	}
}
