package msgpack

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/serializer/internal/strictjson"
)

const (
	elements  = 0x99 // the head of an array of nine
	broadcast = 1
)

var (
	errNobody  = errors.New(`msgpack: a message needs a sender, and "" and "0" are none`)
	errNotText = errors.New("msgpack: text of a message's envelope is not valid UTF-8")
)

// AppendEnvelope implements serializer.Serializer.
func (Serializer) AppendEnvelope(dst []byte, e *serializer.Envelope) ([]byte, error) {
	switch {
	case len(e.Content) == 0 || e.Content[0] == nilCode:
		return dst, serializer.ErrNil
	case nobody(e.From):
		return dst, errNobody
	case !strictjson.IsText(e.From) || !strictjson.IsText(e.To) || !strictjson.IsText(e.ID):
		return dst, errNotText
	}
	b := slices.Grow(dst, len(e.From)+len(e.To)+len(e.ID)+len(e.Content)+40)
	b = append(b, elements)
	b = appendStr(b, e.From)
	b = appendStr(b, e.To)
	b = appendStr(b, e.ID)
	b = appendInt(b, e.Micros)
	b = appendUint(b, e.Ord)
	flags := byte(0)
	if e.Broadcast {
		flags = broadcast
	}
	if len(e.Headers)+len(e.Extra) == 0 {
		return append(append(b, flags, nilCode, nilCode), e.Content...), nil
	}
	b = append(b, flags)
	b, err := appendHeaders(b, e.Headers)
	if err == nil {
		b, err = appendExtra(b, e.Extra)
	}
	if err != nil {
		return dst, err
	}
	return append(b, e.Content...), nil
}

// nobody says whether foreign readers would take from for no sender.
func nobody(from []byte) bool { return len(from) == 0 || len(from) == 1 && from[0] == '0' }

func appendHeaders(b []byte, pairs []serializer.Pair) ([]byte, error) {
	if len(pairs) == 0 {
		return append(b, nilCode), nil
	}
	if len(pairs) > serializer.MaxFields {
		return b, fmt.Errorf("msgpack: a message has %d headers, at most %d are allowed", len(pairs), serializer.MaxFields)
	}
	b = appendMap(b, len(pairs))
	for i, p := range pairs {
		if hasHeader(pairs[:i], p.Key) {
			return b, fmt.Errorf("msgpack: the header %q stands twice", p.Key)
		}
		if !utf8.ValidString(p.Key) || !utf8.ValidString(p.Value) {
			return b, fmt.Errorf("msgpack: the header %q is not valid UTF-8", p.Key)
		}
		b = appendStr(appendStr(b, p.Key), p.Value)
	}
	return b, nil
}

func appendExtra(b []byte, fields []serializer.Field) ([]byte, error) {
	if len(fields) == 0 {
		return append(b, nilCode), nil
	}
	if len(fields) > serializer.MaxFields {
		return b, fmt.Errorf("msgpack: a message has %d unknown fields, at most %d are allowed", len(fields), serializer.MaxFields)
	}
	b = appendMap(b, len(fields))
	for i, f := range fields {
		switch {
		case hasField(fields[:i], f.Key):
			return b, fmt.Errorf("msgpack: the unknown field %q stands twice", f.Key)
		case !utf8.ValidString(f.Key):
			return b, errNotText
		case len(f.Value) == 0:
			return b, fmt.Errorf("msgpack: the unknown field %q: %w", f.Key, serializer.ErrNil)
		}
		b = append(appendStr(b, f.Key), f.Value...)
	}
	return b, nil
}

func hasHeader(pairs []serializer.Pair, key string) bool {
	for i := range pairs {
		if pairs[i].Key == key {
			return true
		}
	}
	return false
}

func hasField(fields []serializer.Field, key string) bool {
	for i := range fields {
		if fields[i].Key == key {
			return true
		}
	}
	return false
}

// ParseEnvelope implements serializer.Serializer.
func (Serializer) ParseEnvelope(data []byte, e *serializer.Envelope) (err error) {
	e.Headers, e.Extra = e.Headers[:0], e.Extra[:0]
	if len(data) == 0 || data[0] != elements {
		return corrupt(0, "a message is an array of nine")
	}
	i := 1
	if e.From, i, err = scanStr(data, i); err != nil {
		return err
	}
	if nobody(e.From) {
		return corrupt(1, "the message has no sender")
	}
	if e.To, i, err = scanStr(data, i); err != nil {
		return err
	}
	if e.ID, i, err = scanStr(data, i); err != nil {
		return err
	}
	k, n, next := head(data, i)
	if k != negative && (k != positive || n > math.MaxInt64) {
		return corrupt(i, "the time is not an int64")
	}
	e.Micros, i = int64(n), next
	if k, e.Ord, next = smallHead(data, i); k != positive {
		return corrupt(i, "ord is not a count")
	}
	i = next
	if k, n, next = smallHead(data, i); k != positive || n > broadcast {
		return corrupt(i, "unknown flags")
	}
	e.Broadcast, i = n == broadcast, next
	if i+1 < len(data) && data[i] == nilCode && data[i+1] == nilCode {
		i += 2
	} else {
		if i, err = parseHeaders(data, i, e); err != nil {
			return err
		}
		if i, err = parseExtra(data, i, e); err != nil {
			return err
		}
	}
	end, err := scan(data, i, 0)
	switch {
	case err != nil:
		return err
	case data[i] == nilCode:
		return corrupt(i, "content is nil")
	case end != len(data):
		return corrupt(end, "more follows after the message")
	}
	e.Content = data[i:end]
	return nil
}

// fields reads the head of headers or extra: how many there are, at most.
func fields(d []byte, i int) (n uint64, next int, err error) {
	k, n, next := head(d, i)
	switch {
	case k == null:
		return 0, next, nil
	case k != mapping:
		return 0, i, corrupt(i, "neither nil nor a map")
	case n > serializer.MaxFields:
		return 0, i, corrupt(i, "too many headers or unknown fields")
	}
	return n, next, nil
}

func parseHeaders(d []byte, i int, e *serializer.Envelope) (int, error) {
	n, i, err := fields(d, i)
	if err != nil {
		return i, err
	}
	for range n {
		at := i
		key, next, err := scanStr(d, i)
		if err != nil {
			return next, err
		}
		value, next, err := scanStr(d, next)
		if err != nil {
			return next, err
		}
		p := serializer.Pair{Key: string(key), Value: string(value)}
		if hasHeader(e.Headers, p.Key) {
			return at, corrupt(at, fmt.Sprintf("the header %q again", key))
		}
		e.Headers = append(e.Headers, p)
		i = next
	}
	return i, nil
}

func parseExtra(d []byte, i int, e *serializer.Envelope) (int, error) {
	n, i, err := fields(d, i)
	if err != nil {
		return i, err
	}
	for range n {
		at := i
		key, next, err := scanStr(d, i)
		if err != nil {
			return next, err
		}
		if i, err = scan(d, next, 0); err != nil {
			return i, err
		}
		f := serializer.Field{Key: string(key), Value: d[next:i]}
		if hasField(e.Extra, f.Key) {
			return at, corrupt(at, fmt.Sprintf("the unknown field %q again", key))
		}
		e.Extra = append(e.Extra, f)
	}
	return i, nil
}
