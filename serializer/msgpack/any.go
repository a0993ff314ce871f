package msgpack

import (
	"encoding/json"
)

// numbers says what a number becomes in an any.
type numbers bool

const (
	asFloat numbers = false // float64, as encoding/json does it
	asText  numbers = true  // json.Number, which loses nothing
)

// any reads the next element. A bin gives a []byte.
func (r *reader) any(as numbers) any {
	switch k, n := r.head(); k {
	case boolean:
		return n == 1
	case positive, negative, float32s, float64s:
		if as == asText {
			return json.Number(numberText(k, n))
		}
		return number(k, n)
	case str:
		return string(r.take(n))
	case bin:
		return append([]byte{}, r.take(n)...)
	case array:
		vs := make([]any, n)
		for i := range vs {
			vs[i] = r.any(as)
		}
		return vs
	case mapping:
		m := make(map[string]any, n)
		for range n {
			_, size := r.head()
			key := string(r.take(size))
			m[key] = r.any(as)
		}
		return m
	}
	return nil
}

// toJSON gives the next element in JSON, bytes as base64.
func (r *reader) toJSON() (json.RawMessage, error) { return json.Marshal(r.any(asText)) }
