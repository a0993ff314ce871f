package json

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/serializer/internal/strictjson"
)

// field is one known key of a message, as a bit.
type field int

const (
	fieldTo field = 1 << iota
	fieldFrom
	fieldID
	fieldStamp
	fieldOrd
	fieldBroadcast
	fieldHeaders
	fieldContent
)

// known returns which field a key names, or 0.
func known(key []byte) field {
	switch string(key) {
	case "to":
		return fieldTo
	case "from":
		return fieldFrom
	case "id":
		return fieldID
	case "stamp":
		return fieldStamp
	case "stamp_ord":
		return fieldOrd
	case "broadcast":
		return fieldBroadcast
	case "headers":
		return fieldHeaders
	case "content":
		return fieldContent
	}
	return 0
}

// ParseEnvelope implements serializer.Serializer.
func (Serializer) ParseEnvelope(data []byte, e *serializer.Envelope) error {
	*e = serializer.Envelope{Headers: e.Headers[:0], Extra: e.Extra[:0]}
	i := strictjson.Space(data, 0)
	if i >= len(data) || data[i] != '{' {
		return strictjson.Corrupt(i, "a message is an object")
	}
	i = strictjson.Space(data, i+1)
	var seen field
	for {
		at := i
		key, i2, err := readText(data, i)
		if err != nil {
			return err
		}
		if i, err = strictjson.Colon(data, i2); err != nil {
			return err
		}
		f := known(key)
		if seen&f != 0 {
			return strictjson.Corrupt(at, fmt.Sprintf("the key %q again", key))
		}
		seen |= f
		if i, err = readField(data, i, f, key, e); err != nil {
			return err
		}
		i = strictjson.Space(data, i)
		if i >= len(data) || data[i] != ',' {
			break
		}
		i = strictjson.Space(data, i+1)
	}
	if i >= len(data) || data[i] != '}' {
		return strictjson.Corrupt(i, "the message does not end")
	}
	if rest := strictjson.Space(data, i+1); rest != len(data) {
		return strictjson.Corrupt(rest, "more follows after the message")
	}
	switch {
	case nobody(e.From):
		return strictjson.Corrupt(i, "the message has no sender")
	case e.Content == nil:
		return strictjson.Corrupt(i, "the message has no content")
	}
	return nil
}

// readField reads the value at i, which f or else key names, into e.
func readField(d []byte, i int, f field, key []byte, e *serializer.Envelope) (end int, err error) {
	switch f {
	case fieldTo:
		e.To, end, err = readScalar(d, i)
	case fieldFrom:
		e.From, end, err = readScalar(d, i)
	case fieldID:
		e.ID, end, err = readScalar(d, i)
	case fieldStamp:
		var s []byte
		if s, end, err = readScalar(d, i); err == nil && s != nil {
			var ok bool
			if e.Micros, ok = parseStamp(s); !ok {
				err = strictjson.Corrupt(i, "the stamp is not a time in seconds")
			}
		}
	case fieldOrd:
		var s []byte
		if s, end, err = readScalar(d, i); err == nil && s != nil {
			if e.Ord, err = strconv.ParseUint(string(s), 10, 64); err != nil {
				err = strictjson.Corrupt(i, "stamp_ord is not a count")
			}
		}
	case fieldBroadcast:
		e.Broadcast, end, err = readTruth(d, i)
	case fieldHeaders:
		return readHeaders(d, i, e)
	case fieldContent:
		if end, err = strictjson.Value(d, i); err == nil {
			e.Content = d[i:end]
			if strictjson.IsNull(e.Content) {
				err = strictjson.Corrupt(i, "content is null")
			}
		}
	default:
		return readExtra(d, i, key, e)
	}
	return end, err
}

// readText reads a string: a view of d, unless it has escapes.
func readText(d []byte, i int) (s []byte, end int, err error) {
	end, esc, err := strictjson.String(d, i)
	if err != nil {
		return nil, end, err
	}
	s = d[i+1 : end-1]
	if esc {
		s, err = strictjson.AppendUnescaped(make([]byte, 0, len(s)), s)
	}
	return s, end, err
}

// readScalar reads what Perl may write for a scalar: a string, a number, whose
// text it returns, or null, for which it returns nil.
func readScalar(d []byte, i int) (s []byte, end int, err error) {
	if i < len(d) && d[i] == '"' {
		return readText(d, i)
	}
	if strictjson.IsNull(d[i:]) {
		return nil, i + 4, nil
	}
	end, err = strictjson.Number(d, i)
	return d[i:end], end, err
}

// readTruth reads a boolean in Perl's sense.
func readTruth(d []byte, i int) (truth bool, end int, err error) {
	switch rest := d[i:]; {
	case bytes.HasPrefix(rest, []byte("true")):
		return true, i + 4, nil
	case bytes.HasPrefix(rest, []byte("false")):
		return false, i + 5, nil
	case len(rest) > 0 && rest[0] == '"':
		s, end, err := readText(d, i)
		return !nobody(s), end, err
	}
	s, end, err := readScalar(d, i)
	return len(bytes.Trim(s, "-0.")) > 0, end, err
}

func readHeaders(d []byte, i int, e *serializer.Envelope) (int, error) {
	if i >= len(d) || d[i] != '{' {
		return i, strictjson.Corrupt(i, "headers are not an object")
	}
	if i = strictjson.Space(d, i+1); i < len(d) && d[i] == '}' {
		return i + 1, nil
	}
	for {
		at := i
		key, i2, err := readText(d, i)
		if err != nil {
			return i2, err
		}
		if i, err = strictjson.Colon(d, i2); err != nil {
			return i, err
		}
		value, i2, err := readText(d, i)
		if err != nil {
			return i2, err
		}
		if len(e.Headers) == serializer.MaxFields {
			return at, strictjson.Corrupt(at, "too many headers")
		}
		p := serializer.Pair{Key: string(key), Value: string(value)}
		if hasHeader(e.Headers, p.Key) {
			return at, strictjson.Corrupt(at, fmt.Sprintf("the header %q again", p.Key))
		}
		e.Headers = append(e.Headers, p)
		i = strictjson.Space(d, i2)
		if i >= len(d) || d[i] != ',' {
			break
		}
		i = strictjson.Space(d, i+1)
	}
	if i >= len(d) || d[i] != '}' {
		return i, strictjson.Corrupt(i, "the headers do not end")
	}
	return i + 1, nil
}

func readExtra(d []byte, i int, key []byte, e *serializer.Envelope) (int, error) {
	end, err := strictjson.Value(d, i)
	if err != nil {
		return end, err
	}
	if len(e.Extra) == serializer.MaxFields {
		return i, strictjson.Corrupt(i, "too many unknown keys")
	}
	f := serializer.Field{Key: string(key), Value: d[i:end]}
	if hasField(e.Extra, f.Key) {
		return i, strictjson.Corrupt(i, fmt.Sprintf("the key %q again", key))
	}
	e.Extra = append(e.Extra, f)
	return end, nil
}
