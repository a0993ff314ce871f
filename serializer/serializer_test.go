package serializer_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/serializer"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
	"github.com/ipcmgr/ipcmgr/serializer/serializertest"
)

func TestAllAreRegistered(t *testing.T) {
	assert.Equal(t, []string{"json", "msgpack"}, serializer.Names())
	_, err := serializer.Get("yaml")
	assert.ErrorContains(t, err, "json, msgpack")
}

func both(t testing.TB) (j, m serializer.Serializer) {
	j, err := serializer.Get("json")
	require.NoError(t, err)
	m, err = serializer.Get("msgpack")
	require.NoError(t, err)
	return j, m
}

func through(t *testing.T, s serializer.Serializer, v, into any) {
	t.Helper()
	b, err := s.AppendContent(nil, v)
	require.NoError(t, err)
	require.NoError(t, s.DecodeContent(b, into))
}

// A program that swaps one serializer for the other sees the same values:
// in the type that was sent, in an any where no bytes or float32 are in it,
// and as JSON.
func TestSameMeaning(t *testing.T) {
	j, m := both(t)
	binary := map[string]bool{"bytes": true, "empty bytes": true, "long bytes": true, "named bytes": true, "struct": true, "float32": true}
	for name, v := range serializertest.Values() {
		t.Run(name, func(t *testing.T) {
			one, other := reflect.New(reflect.TypeOf(v)), reflect.New(reflect.TypeOf(v))
			through(t, j, v, one.Interface())
			through(t, m, v, other.Interface())
			assert.Equal(t, one.Elem().Interface(), other.Elem().Interface())

			if !binary[name] {
				var a, b any
				through(t, j, v, &a)
				through(t, m, v, &b)
				assert.Equal(t, a, b)
			}
			if name == "struct" || name == "float32" || name == "huge" || name == "negative zero" {
				return
			}
			var c, d json.RawMessage
			through(t, j, v, &c)
			through(t, m, v, &d)
			assert.JSONEq(t, string(c), string(d))
		})
	}
}

type shout string

func (s shout) MarshalText() ([]byte, error)     { return []byte("!" + string(s)), nil }
func (s *shout) UnmarshalText(text []byte) error { *s = shout(text[1:]); return nil }

type point struct{ x, y int }

func (p point) MarshalJSON() ([]byte, error)     { return json.Marshal([]int{p.x, p.y}) }
func (p *point) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &[]any{&p.x, &p.y}) }

type left struct{ Same, Left string }
type right struct{ Same, Right string }

type Embedded struct {
	Name string `json:"name"`
	Over int
}

// Tags, embedding and methods decide in msgpack what they decide in JSON.
func TestSameRules(t *testing.T) {
	j, m := both(t)
	type optional struct {
		A int            `json:",omitempty"`
		B *int           `json:"b,omitempty"`
		C []int          `json:"c,omitempty"`
		D struct{}       `json:"d,omitempty"`
		E map[string]int `json:"e,omitzero"`
		F any            `json:"-,"` //nolint:staticcheck // the name is meant to be "-"
		G int            `json:"-"`
		H string         `msgpack:"other"`
	}
	type embedding struct {
		*Embedded
		left
		right
		Over string
	}
	values := map[string]any{
		"text":            []shout{"a", "b"},
		"text in a map":   map[shout]shout{"k": "v"},
		"json":            map[string]*point{"p": {1, 2}, "nil": nil},
		"json by value":   point{3, 4},
		"left out":        optional{},
		"not left out":    optional{A: 1, B: new(int), C: []int{0}, E: map[string]int{}, F: "f", G: 7, H: "h"},
		"embedding":       embedding{&Embedded{"n", 1}, left{"l", "left"}, right{"r", "right"}, "over"},
		"no embedded one": embedding{Over: "o"},
		"pointer chains":  map[string]**string{"nil": nil, "some": func() **string { s := "x"; p := &s; return &p }()},
		"raw within":      []any{json.RawMessage(`{"a": 1}`), json.Number("1e3"), json.Number("")},
	}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			one, other := reflect.New(reflect.TypeOf(v)), reflect.New(reflect.TypeOf(v))
			through(t, j, v, one.Interface())
			through(t, m, v, other.Interface())
			assert.Equal(t, one.Elem().Interface(), other.Elem().Interface())
			var a, b any
			through(t, j, v, &a)
			through(t, m, v, &b)
			assert.Equal(t, a, b)
		})
	}
}

// Decoding into what holds something already adds to it in the same way.
func TestSameMerging(t *testing.T) {
	j, m := both(t)
	type target struct {
		M    map[string]int
		S    []int
		A    [3]int
		P    *int
		I    any
		Kept string
		Null *int
	}
	sent := map[string]any{"m": map[string]int{"b": 2}, "S": []int{7}, "A": []int{1}, "P": 5, "I": "x", "NULL": nil, "more": []any{1}}
	for _, s := range []serializer.Serializer{j, m} {
		p, i := 1, 2
		v := target{M: map[string]int{"a": 1}, S: []int{1, 2, 3}, A: [3]int{9, 9, 9}, P: &p, I: &i, Kept: "kept", Null: &i}
		v.I = 3
		through(t, s, sent, &v)
		assert.Equal(t, map[string]int{"a": 1, "b": 2}, v.M, s.Name())
		assert.Equal(t, []int{7}, v.S)
		assert.Equal(t, [3]int{1, 0, 0}, v.A)
		assert.Equal(t, 5, p, "a pointer is followed")
		assert.Equal(t, "x", v.I)
		assert.Equal(t, "kept", v.Kept)
		assert.Nil(t, v.Null)
		var held any = &p
		through(t, s, 8, &held)
		assert.Equal(t, 8, p, "a pointer in an any is followed")
		through(t, s, 6.0, &p)
		assert.Equal(t, 6, p, "a float without a fraction is an integer")
	}
}
