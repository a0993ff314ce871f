package json_test

import (
	stdjson "encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/serializer"
)

func TestWritten(t *testing.T) {
	e := serializer.Envelope{
		ID: []byte("1"), From: []byte("ż"), To: []byte("b"), Micros: 1795149013470850, Content: []byte("{\"x\": \"\u00fc\U0001f600\"}"),
	}
	b, err := s.AppendEnvelope(nil, &e)
	require.NoError(t, err)
	assert.Equal(t, `{"to":"b","from":"\u017c","id":"1","stamp":1795149013.470850,"stamp_ord":0,"content":{"x": "\u00fc\ud83d\ude00"}}`, string(b))
	e.Broadcast, e.Ord = true, 3
	e.Headers = []serializer.Pair{{Key: "k", Value: "v"}, {Key: "l", Value: ""}}
	e.Extra = []serializer.Field{{Key: "x", Value: []byte("[1]")}}
	b, err = s.AppendEnvelope(nil, &e)
	require.NoError(t, err)
	assert.Contains(t, string(b), `"stamp_ord":3,"broadcast":1,"headers":{"k":"v","l":""},"x":[1],"content":`)
	e.Extra[0].Key = "from"
	_, err = s.AppendEnvelope(nil, &e)
	assert.Error(t, err, "an unknown field with a known name")
}

func TestContentIsASCII(t *testing.T) {
	for _, v := range []any{"ü\u2028\u007f", map[string]any{"ü": []any{"😀"}}, stdjson.RawMessage(`"ü"`), struct{ Ü string }{"é"}, &[]string{"\ufffd"}} {
		b, err := s.AppendContent(nil, v)
		require.NoError(t, err)
		for _, c := range b {
			require.Less(t, c, byte(0x80), "%s", b)
		}
	}
}

// Perl writes numbers as text and booleans as numbers, and leaves out what it
// does not need.
func TestLenient(t *testing.T) {
	for text, want := range map[string]serializer.Envelope{
		`{"from":"a","content":1}`:                                  {},
		" \t\r\n{\"from\" : \"a\" , \"content\" : 1}\n":             {},
		`{"from":"a","content":1,"to":null,"id":null,"stamp":null}`: {},
		`{"from":"a","content":1,"to":7,"id":8.5}`:                  {To: []byte("7"), ID: []byte("8.5")},
		`{"from":"a","content":1,"stamp":"1795149013.47085"}`:       {Micros: 1795149013470850},
		`{"from":"a","content":1,"stamp":1795149013}`:               {Micros: 1795149013000000},
		`{"from":"a","content":1,"stamp":1.7e9}`:                    {Micros: 1700000000000000},
		`{"from":"a","content":1,"stamp":0.0000005}`:                {Micros: 1},
		`{"from":"a","content":1,"stamp":-0.25}`:                    {Micros: -250000},
		`{"from":"a","content":1,"stamp_ord":"12"}`:                 {Ord: 12},
		`{"from":"a","content":1,"broadcast":1}`:                    {Broadcast: true},
		`{"from":"a","content":1,"broadcast":"1"}`:                  {Broadcast: true},
		`{"from":"a","content":1,"broadcast":true}`:                 {Broadcast: true},
		`{"from":"a","content":1,"broadcast":""}`:                   {},
		`{"from":"a","content":1,"broadcast":"0"}`:                  {},
		`{"from":"a","content":1,"broadcast":0}`:                    {},
		`{"from":"a","content":1,"broadcast":null}`:                 {},
		`{"from":"a","content":1,"broadcast":false}`:                {},
		`{"from":"a","content":1,"headers":{}}`:                     {},
		`{"fr\u006fm":"\u0061","content":1,"x\u0000":[]}`:           {Extra: []serializer.Field{{Key: "x\x00", Value: []byte("[]")}}},
	} {
		want.From, want.Content = []byte("a"), []byte("1")
		var got serializer.Envelope
		require.NoError(t, s.ParseEnvelope([]byte(text), &got), text)
		assert.Equal(t, want, got, text)
	}
}

func TestCorruptMessages(t *testing.T) {
	for _, text := range []string{
		"", " ", "1", "[]", "null", "{}", "{", "\ufeff{\"from\":\"a\",\"content\":1}",
		`{"from":"a"}`, `{"content":1}`, `{"from":"a","content":null}`, `{"from":"","content":1}`,
		`{"from":"0","content":1}`, `{"from":0,"content":1}`, `{"from":null,"content":1}`, `{"from":["a"],"content":1}`,
		`{"from":"a","content":1,"from":"b"}`, `{"from":"a","content":1,"\u0066rom":"b"}`, `{"from":"a","content":1,"x":1,"x":2}`,
		`{"from":"a","content":1,}`, `{"from":"a","content":1}}`, `{"from":"a","content":1} x`, `{"from":"a" "content":1}`,
		`{"from":"a","content":1,"to":true}`, `{"from":"a","content":1,"to":{}}`, `{"from":"a","content":1,"broadcast":[]}`,
		`{"from":"a","content":1,"stamp":"x"}`, `{"from":"a","content":1,"stamp":"1 "}`, `{"from":"a","content":1,"stamp":1e300}`,
		`{"from":"a","content":1,"stamp":99999999999999}`, `{"from":"a","content":1,"stamp":9223372036855}`, `{"from":"a","content":1,"stamp":true}`,
		`{"from":"a","content":1,"stamp_ord":-1}`, `{"from":"a","content":1,"stamp_ord":1.5}`, `{"from":"a","content":1,"stamp_ord":18446744073709551616}`,
		`{"from":"a","content":1,"headers":1}`, `{"from":"a","content":1,"headers":{"a":1}}`, `{"from":"a","content":1,"headers":{"a":"","a":""}}`,
		`{"from":"a","content":1,"headers":{"a":""`, `{'from':"a","content":1}`,
		"{\"from\":\"\xff\",\"content\":1}", "{\"from\":\"a\nb\",\"content\":1}", `{"from":"\ud800","content":1}`,
	} {
		var e serializer.Envelope
		assert.ErrorIs(t, s.ParseEnvelope([]byte(text), &e), serializer.ErrCorrupt, text)
	}
	many := `{"from":"a","content":1` + strings.Repeat(`,"h":1`, 1)
	for i := range serializer.MaxFields {
		many += `,"x` + strings.Repeat("x", i) + `":0`
	}
	assert.ErrorIs(t, s.ParseEnvelope([]byte(many+"}"), new(serializer.Envelope)), serializer.ErrCorrupt)
}

func TestCorruptContent(t *testing.T) {
	for _, text := range []string{
		"", " ", "nul", "nulll", "null", "tru", "True", "+1", "01", "-", "-01", "1.", ".5", "1e", "1e+", "0x1", "NaN", "Infinity", "1e309", "-1e999",
		strings.Repeat("9", 400), `"`, `"a`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\t\"", "\"\x00\"", `'a'`,
		`"\ud800"`, `"\udc00"`, `"\ud800\ud800"`, `"\ud83dx"`, "\"\xed\xa0\x80\"", "\"\xc0\x80\"", "\"abcdefgh\xff\"",
		"[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1}", "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a" 1}`, "{1:1}", `{"a":1]`, "]", "}", "1 1", "//x\n1",
		strings.Repeat("[", serializer.MaxDepth+1) + strings.Repeat("]", serializer.MaxDepth+1),
	} {
		var v any
		assert.ErrorIs(t, s.DecodeContent([]byte(text), &v), serializer.ErrCorrupt, text)
		_, err := s.AppendContent(nil, stdjson.RawMessage(text))
		assert.Error(t, err, text)
	}
}

func TestBytesThatAreNoBase64(t *testing.T) {
	var b []byte
	for _, text := range []string{`"a"`, `"===="`, `"ü"`, `1`, `{}`} {
		err := s.DecodeContent([]byte(text), &b)
		require.Error(t, err, text)
		require.NotErrorIs(t, err, serializer.ErrCorrupt, text)
	}
	require.NoError(t, s.DecodeContent([]byte(` "\u0061\/\/9" `), &b))
	assert.Equal(t, []byte{0x6b, 0xff, 0xfd}, b)
}

// encoding/json replaces what is not UTF-8 without a word; we do not, and tell
// it from a replacement character that was sent.
func TestNothingIsMended(t *testing.T) {
	type text struct{ A, B string }
	for _, v := range []any{"\xff", text{A: "ok", B: "\xffx"}, map[string]string{"\xc3": ""}, []any{`\\`, "\\\xff"}} {
		_, err := s.AppendContent(nil, v)
		assert.ErrorContains(t, err, "UTF-8", "%q", v)
	}
	for _, v := range []any{"\ufffd", text{A: `\ufffd`, B: `\\ufffd`}, []any{"\ufffd", stdjson.RawMessage(`"\ufffd"`)}} {
		_, err := s.AppendContent(nil, v)
		assert.NoError(t, err, "%q", v)
	}
}

func TestStampsStayInOrder(t *testing.T) {
	last := -1.0
	for _, micros := range []int64{0, 1, 999999, 1000000, 1795149013470849, 1795149013470850, 1795149013470851} {
		b, err := s.AppendEnvelope(nil, &serializer.Envelope{From: []byte("a"), Micros: micros, Content: []byte("1")})
		require.NoError(t, err)
		var perl struct{ Stamp float64 } // what Perl sorts by
		require.NoError(t, stdjson.Unmarshal(b, &perl))
		assert.Greater(t, perl.Stamp, last)
		last = perl.Stamp
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	e := serializer.Envelope{From: []byte("a"), To: []byte("b"), ID: []byte("1"), Micros: math.MaxInt64, Content: []byte(`{"x":[1,2.5e10,"y"]}`)}
	b, err := s.AppendEnvelope(nil, &e)
	require.NoError(t, err)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_ = s.ParseEnvelope(b, &e)
		b, _ = s.AppendEnvelope(b[:0], &e)
	}))
}

type own struct{ text string }

func (o own) MarshalJSON() ([]byte, error) { return []byte(o.text), nil }

// What a program's MarshalJSON writes is checked like anybody else's JSON.
func TestMarshalers(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"a":1}`: true, `"ü"`: true, `{"a":1,"a":2}`: false, `"\ud800"`: false, "\"\xff\"": false, `1e999`: false, `null`: false,
		strings.Repeat("[", serializer.MaxDepth+1) + strings.Repeat("]", serializer.MaxDepth+1): false,
	} {
		_, err := s.AppendContent(nil, own{text})
		assert.Equal(t, ok, err == nil, "%s: %v", text, err)
		_, err = s.AppendContent(nil, map[string]*own{"k": {text}})
		assert.Equal(t, ok || text == "null", err == nil, "%s within: %v", text, err)
	}
}
