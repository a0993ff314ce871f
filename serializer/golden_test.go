package serializer_test

import (
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/serializer"
)

// The messages below testdata/wire were written once, and must be read for
// ever. The flag adds those that are missing, and changes none.
var makeGolden = flag.Bool("make", false, "write the golden messages that do not exist")

// reading is what a golden message must be read as; content and unknown fields
// in JSON.
type reading struct {
	From, To, ID string
	Micros       int64
	Ord          uint64
	Broadcast    bool
	Headers      []serializer.Pair
	Extra        map[string]json.RawMessage
	Content      json.RawMessage
}

func read(t *testing.T, s serializer.Serializer, data []byte) string {
	var e serializer.Envelope
	require.NoError(t, s.ParseEnvelope(data, &e))
	r := reading{
		From: string(e.From), To: string(e.To), ID: string(e.ID), Micros: e.Micros, Ord: e.Ord,
		Broadcast: e.Broadcast, Headers: e.Headers, Extra: map[string]json.RawMessage{},
	}
	for _, f := range e.Extra {
		var v json.RawMessage
		require.NoError(t, s.DecodeContent(f.Value, &v))
		r.Extra[f.Key] = v
	}
	require.NoError(t, s.DecodeContent(e.Content, &r.Content))
	out, err := json.MarshalIndent(r, "", "\t")
	require.NoError(t, err)
	return string(out) + "\n"
}

func TestGolden(t *testing.T) {
	for _, name := range serializer.Names() {
		t.Run(name, func(t *testing.T) {
			s, err := serializer.Get(name)
			require.NoError(t, err)
			dir := filepath.Join("..", "testdata", "wire", name)
			if *makeGolden {
				for stem, data := range golden(t, s) {
					create(t, filepath.Join(dir, stem+".bin"), string(data))
					create(t, filepath.Join(dir, stem+".golden"), read(t, s, data))
				}
			}
			files, err := filepath.Glob(filepath.Join(dir, "*.bin"))
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(files), 12)
			for _, file := range files {
				data, err := os.ReadFile(file)
				require.NoError(t, err)
				want, err := os.ReadFile(strings.TrimSuffix(file, ".bin") + ".golden")
				require.NoError(t, err)
				assert.Equal(t, string(want), read(t, s, data), file)
			}
		})
	}
}

func create(t *testing.T, path, data string) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return
	}
	require.NoError(t, err)
	_, err = f.WriteString(data)
	require.NoError(t, errors.Join(err, f.Close()))
}

// golden makes messages with every form of content, and those that only a
// foreign writer would write.
func golden(t *testing.T, s serializer.Serializer) map[string][]byte {
	all := map[string][]byte{}
	contents := map[string]any{
		"text": "h\u00e9\u20ac\U0001f600 \x00\"\\\n", "bytes": []byte("\x00\xff\x80"), "empty-bytes": []byte{},
		"integers": []any{0, -1, 127, 128, 255, 256, -32, -33, -129, 65536, int64(math.MinInt64), uint64(math.MaxUint64)},
		"floats":   []float64{0.5, -1.25e-7, 1e300}, "booleans": []any{true, false, nil},
		"object": map[string]any{"x": 1, "nested": map[string]any{"list": []int{}}},
		"long":   strings.Repeat("0123456789", 7000), "many": make([]bool, 300),
	}
	for stem, v := range contents {
		b, err := s.AppendContent(nil, v)
		require.NoError(t, err)
		all[stem], err = s.AppendEnvelope(nil, &serializer.Envelope{
			From: []byte("alice"), To: []byte("bob"), ID: []byte("01A1F738-21DE-73AF-A836-6C2211915732"),
			Micros: 1795149013470850, Content: b,
		})
		require.NoError(t, err)
	}
	one, err := s.AppendContent(nil, map[string]bool{"terminate": true})
	require.NoError(t, err)
	all["full"], err = s.AppendEnvelope(nil, &serializer.Envelope{
		From: []byte("żółw"), To: []byte("b"), ID: []byte("1"), Micros: -1, Ord: math.MaxUint64, Broadcast: true,
		Headers: []serializer.Pair{{Key: "traceparent", Value: "00-ab"}, {Key: "ü", Value: ""}},
		Extra:   []serializer.Field{{Key: "added", Value: one}}, Content: one,
	})
	require.NoError(t, err)
	switch s.Name() {
	case "json":
		all["foreign"] = []byte(" {\n \"fr\\u006fm\" : 5 , \"to\":null,\"stamp\":\"1795149013.4708504\",\"stamp_ord\":\"3\",\"broadcast\":\"\",\"content\": \"\\u00ff\u00fc\\/\" , \"x\": [ 1 , {} ] }\n")
		all["least"] = []byte(`{"from":"a","content":0}`)
	case "msgpack":
		all["foreign"] = []byte("\x99\xd9\x01a\xda\x00\x01b\xdb\x00\x00\x00\x01c\xd3\x00\x00\x00\x00\x00\x00\x00\x05\xcf\x00\x00\x00\x00\x00\x00\x00\x06\xcd\x00\x01\xdf\x00\x00\x00\x01\xa1k\xa1v\xde\x00\x00\xdc\x00\x02\xd1\x00\x07\xca\x3f\x80\x00\x00")
		all["least"] = []byte("\x99\xa1a\xa0\xa0\x00\x00\x00\xc0\xc0\x00")
	}
	return all
}
