package serializertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/serializer"
)

type inner struct {
	Deep  string `json:"deep"`
	Twice int
}

type record struct {
	Name    string            `json:"name"`
	Count   int64             `json:"count,omitempty"`
	Big     uint64            `json:"big"`
	Ratio   float64           `json:"ratio"`
	Small   float32           `json:"small"`
	Ok      bool              `json:"ok"`
	Raw     []byte            `json:"raw"`
	Tags    []string          `json:"tags"`
	Labels  map[string]string `json:"labels"`
	ByID    map[int]inner     `json:"by_id"`
	Next    *record           `json:"next,omitempty"`
	Parent  *record           `json:"-"`
	When    time.Time         `json:"when"`
	Wait    time.Duration     `json:"wait"`
	Pair    [2]int8           `json:"pair"`
	Any     any               `json:"any"`
	JSON    json.RawMessage   `json:"json"`
	Number  json.Number       `json:"number"`
	Zero    time.Time         `json:"zero,omitzero"`
	private int               //nolint:unused // must not be written
	inner
}

type named []byte

// Values are those that every serializer carries without loss: decoded into
// the type it had, each is equal to what was sent. A time is in UTC, so that
// reflect.DeepEqual can tell.
func Values() map[string]any {
	when := time.Date(2026, 2, 3, 4, 5, 6, 789012345, time.UTC)
	r := record{
		Name: "rec", Count: -5, Big: math.MaxUint64, Ratio: 0.1, Small: 0.1, Ok: true,
		Raw: []byte{0, 0xff}, Tags: []string{"a", "ü"}, Labels: map[string]string{"k": "v", "": "empty"},
		ByID: map[int]inner{-1: {Deep: "d", Twice: 2}}, When: when, Wait: time.Second, Pair: [2]int8{-128, 127},
		Any: map[string]any{"list": []any{1.5, "s", nil, true}}, JSON: json.RawMessage(`{"a":[1,"x"]}`), Number: "12",
		inner: inner{Deep: "embedded", Twice: 1},
	}
	r.Next = &record{Name: "next", JSON: json.RawMessage(`1`), Number: "0", When: when}
	return map[string]any{
		"text": "hello", "empty text": "", "long text": strings.Repeat("ab\x00\n\"\\ü€😀", 3000),
		"replacement character": "\ufffd \\ufffd", "line separator": "\u2028<&>\u007f",
		"bytes": []byte("\x00\xff\x80abc"), "empty bytes": []byte{}, "long bytes": bytes.Repeat([]byte{1, 2, 0xfe}, 30000),
		"named bytes": named("xyz"),
		"zero":        0, "int": 42, "negative": -42, "min int64": int64(math.MinInt64), "max int64": int64(math.MaxInt64),
		"max uint64": uint64(math.MaxUint64), "int8": int8(-128), "int16": int16(-32768), "int32": int32(math.MinInt32),
		"uint8": uint8(255), "uint16": uint16(65535), "uint32": uint32(math.MaxUint32), "uint": uint(7),
		"past float64": int64(1<<53 + 1),
		"float":        1.5, "whole float": 5.0, "tiny": math.SmallestNonzeroFloat64, "huge": math.MaxFloat64, "negative zero": math.Copysign(0, -1),
		"float32": float32(0.1), "true": true, "false": false,
		"list": []int{1, 2, 300, 70000, 1 << 30}, "empty list": []int{}, "texts": []string{"", "a"}, "lists": [][]string{{"a"}, nil, {}},
		"array": [3]bool{true, false, true}, "long list": make([]int, 70000),
		"map": map[string]int{"b": 1, "a": 2, "": 3}, "empty map": map[string]int{}, "map by int": map[int]string{-5: "x", 10: "y"},
		"map by uint8": map[uint8]bool{255: true}, "wide map": wide(), "map of any": map[string]any{"n": nil, "t": true, "s": "x", "f": 1.25, "m": map[string]any{}, "l": []any{}},
		"struct": r, "empty struct": struct{}{}, "pointers": []*int{new(int), nil},
		"time": when, "duration": time.Minute, "number": json.Number("17"),
		"any list": []any{"a", 1.0, false, nil, []any{map[string]any{"k": "v"}}},
	}
}

func wide() map[string]int {
	m := map[string]int{}
	for i := range 300 {
		m[strings.Repeat("k", i)] = i
	}
	return m
}

func contentRoundTrip(t *testing.T, s serializer.Serializer) {
	for name, v := range Values() {
		t.Run(name, func(t *testing.T) {
			b := content(t, s, v)
			got := reflect.New(reflect.TypeOf(v))
			if err := s.DecodeContent(b, got.Interface()); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(v, got.Elem().Interface()) {
				t.Errorf("sent %#v\ngot  %#v", v, got.Elem().Interface())
			}
			var pointed any = v // its address is one of an any
			if again := content(t, s, &pointed); !bytes.Equal(b, again) {
				t.Error("a value and a pointer to it are written differently")
			}
			inAny(t, s, b)
		})
	}
	var empty []byte
	if err := s.DecodeContent(content(t, s, []byte(nil)), &empty); err != nil || len(empty) != 0 {
		t.Errorf("a nil []byte is read as %q, %v", empty, err)
	}
	var raw json.RawMessage
	if err := s.DecodeContent(content(t, s, json.RawMessage(` {"a":[1,2.5,"x",null,true,18446744073709551615]} `)), &raw); err != nil || string(raw) != `{"a":[1,2.5,"x",null,true,18446744073709551615]}` {
		t.Errorf("a json.RawMessage is read as %s, %v", raw, err)
	}
	var fields struct{ A []any }
	if err := s.DecodeContent(content(t, s, json.RawMessage(`{"a":[1,"x"]}`)), &fields); err != nil || len(fields.A) != 2 {
		t.Errorf("a json.RawMessage is read as %+v, %v", fields, err)
	}
}

// inAny checks that an encoded value may stand in a message and is read from
// it into an any.
func inAny(t *testing.T, s serializer.Serializer, b []byte) {
	t.Helper()
	var e serializer.Envelope
	if err := s.ParseEnvelope(message(t, s, &serializer.Envelope{From: []byte("a"), Content: b}), &e); err != nil {
		t.Fatalf("content in a message: %v", err)
	}
	var v any
	if err := s.DecodeContent(e.Content, &v); err != nil || v == nil {
		t.Errorf("content into an any: %v, %v", v, err)
	}
}

type fails struct{}

func (fails) MarshalJSON() ([]byte, error) { return nil, errors.New("no") }

func contentRefusals(t *testing.T, s serializer.Serializer) {
	cycle := map[string]any{}
	cycle["self"] = cycle
	list := make([]any, 1)
	list[0] = list
	ring := &record{}
	ring.Next = ring
	type self *self
	var loop self
	loop = &loop
	refused := map[string]any{
		"a channel": make(chan int), "a function": func() {}, "a complex number": 1i,
		"NaN": math.NaN(), "infinity": math.Inf(-1), "NaN within": []float64{math.NaN()}, "float32 infinity": float32(math.Inf(1)),
		"text not UTF-8": "\xff", "text not UTF-8 within": []string{"ok", "\xed\xa0\x80"}, "key not UTF-8": map[string]int{"\xff": 1},
		"a cycle by maps": cycle, "a cycle by lists": list, "a cycle by pointers": ring, "a pointer to itself": loop,
		"keys that are booleans": map[bool]int{true: 1}, "JSON that is none": json.RawMessage(`{"a":}`), "JSON with more": json.RawMessage(`1 2`),
		"JSON with a key twice": json.RawMessage(`{"a":{"b":1,"b":2}}`), "JSON with half a pair": json.RawMessage(`"\ud800"`),
		"JSON not UTF-8": json.RawMessage("\"\xff\""), "JSON not UTF-8 within": map[string]any{"j": json.RawMessage("\"\xff\"")},
		"JSON beyond float64": json.RawMessage(`1e999`), "empty JSON": json.RawMessage{}, "a failing marshaler": fails{},
	}
	for name, v := range refused {
		b, err := s.AppendContent([]byte("kept"), v)
		if err == nil {
			t.Errorf("%s was written as %q", name, b)
		}
		if string(b) != "kept" {
			t.Errorf("%s: with an error, %q is returned instead of what was given", name, b)
		}
	}
	nils := map[string]any{
		"nil": nil, "nil pointer": (*int)(nil), "nil map": map[string]int(nil), "nil list": []string(nil),
		"nil time": (*time.Time)(nil), "pointer to nil": new(*int), "JSON null": json.RawMessage(" null "), "nil JSON": json.RawMessage(nil),
	}
	for name, v := range nils {
		if b, err := s.AppendContent(nil, v); !errors.Is(err, serializer.ErrNil) {
			t.Errorf("%s: %q, %v; want ErrNil", name, b, err)
		}
	}
}

type chain struct{ Next *chain }

func contentDepth(t *testing.T, s serializer.Serializer) {
	nest := func(depth int) any {
		var v any = 1
		for range depth {
			v = []any{v}
		}
		return v
	}
	inAny(t, s, content(t, s, nest(serializer.MaxDepth)))
	inAny(t, s, content(t, s, json.RawMessage(strings.Repeat("[", serializer.MaxDepth)+strings.Repeat("]", serializer.MaxDepth))))
	var long *chain
	for range 3_000_000 {
		long = &chain{long}
	}
	deep := map[string]any{
		"lists": nest(serializer.MaxDepth + 1), "lists, much": nest(1_000_000), "a linked list": long,
		"JSON":       json.RawMessage(strings.Repeat("[", serializer.MaxDepth+1) + strings.Repeat("]", serializer.MaxDepth+1)),
		"JSON, open": json.RawMessage(strings.Repeat("[", 1_000_000)),
	}
	for name, v := range deep {
		if _, err := s.AppendContent(nil, v); err == nil {
			t.Errorf("%s nested too deeply was written", name)
		}
	}
	// Content of this depth within another list is too deep to be read.
	inner := content(t, s, nest(serializer.MaxDepth))
	outer := content(t, s, []any{nest(serializer.MaxDepth - 1)})
	if at := bytes.Index(outer, content(t, s, nest(serializer.MaxDepth-1))); at > 0 {
		tail := outer[at+len(content(t, s, nest(serializer.MaxDepth-1))):]
		tooDeep := append(append(append([]byte(nil), outer[:at]...), inner...), tail...)
		var v any
		if err := s.DecodeContent(tooDeep, &v); !errors.Is(err, serializer.ErrCorrupt) {
			t.Errorf("reading what is nested too deeply: %v, want ErrCorrupt", err)
		}
	}
}

func contentAppends(t *testing.T, s serializer.Serializer) {
	for name, v := range Values() {
		b, err := s.AppendContent([]byte("before"), v)
		if err != nil || string(b) != "before"+string(content(t, s, v)) {
			t.Errorf("%s is not appended as it is written alone: %v", name, err)
		}
	}
}
