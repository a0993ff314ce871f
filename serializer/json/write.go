package json

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/serializer/internal/strictjson"
)

var errNobody = errors.New(`json: a message needs a sender, and "" and "0" are none`)

// AppendEnvelope implements serializer.Serializer.
func (Serializer) AppendEnvelope(dst []byte, e *serializer.Envelope) ([]byte, error) {
	if len(e.Content) == 0 {
		return dst, serializer.ErrNil
	}
	if nobody(e.From) {
		return dst, errNobody
	}
	w := writer{b: append(dst, '{')}
	w.text(`"to":`, e.To)
	w.text(`,"from":`, e.From)
	w.text(`,"id":`, e.ID)
	w.b = append(w.b, `,"stamp":`...)
	w.b = appendStamp(w.b, e.Micros)
	w.b = append(w.b, `,"stamp_ord":`...)
	w.b = strconv.AppendUint(w.b, e.Ord, 10)
	if e.Broadcast {
		w.b = append(w.b, `,"broadcast":1`...)
	}
	if len(e.Headers) > 0 {
		w.headers(e.Headers)
	}
	if len(e.Extra) > 0 {
		w.extra(e.Extra)
	}
	w.b = append(w.b, `,"content":`...)
	w.ascii(e.Content)
	return whole(dst, append(w.b, '}'), w.err)
}

// nobody says whether Perl would take from for false.
func nobody(from []byte) bool { return len(from) == 0 || len(from) == 1 && from[0] == '0' }

// writer keeps the first error.
type writer struct {
	b   []byte
	err error
}

func (w *writer) text(key string, s []byte) {
	w.b = append(w.b, key...)
	b, err := strictjson.AppendString(w.b, s)
	w.b = b
	w.fail(err)
}

func (w *writer) key(before byte, key string) {
	b, err := strictjson.AppendString(append(w.b, before), key)
	w.b = append(b, ':')
	w.fail(err)
}

func (w *writer) ascii(value []byte) {
	b, err := strictjson.AppendASCII(w.b, value)
	w.b = b
	w.fail(err)
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *writer) headers(pairs []serializer.Pair) {
	if len(pairs) > serializer.MaxFields {
		w.fail(fmt.Errorf("json: a message has %d headers, at most %d are allowed", len(pairs), serializer.MaxFields))
		return
	}
	w.b = append(w.b, `,"headers":`...)
	before := byte('{')
	for i, p := range pairs {
		if hasHeader(pairs[:i], p.Key) {
			w.fail(fmt.Errorf("json: the header %q stands twice", p.Key))
		}
		if !utf8.ValidString(p.Key) || !utf8.ValidString(p.Value) {
			w.fail(fmt.Errorf("json: the header %q is not valid UTF-8", p.Key))
		}
		w.key(before, p.Key)
		b, err := strictjson.AppendString(w.b, p.Value)
		w.b = b
		w.fail(err)
		before = ','
	}
	w.b = append(w.b, '}')
}

func (w *writer) extra(fields []serializer.Field) {
	if len(fields) > serializer.MaxFields {
		w.fail(fmt.Errorf("json: a message has %d unknown fields, at most %d are allowed", len(fields), serializer.MaxFields))
		return
	}
	for i, f := range fields {
		if known([]byte(f.Key)) != 0 || hasField(fields[:i], f.Key) {
			w.fail(fmt.Errorf("json: the unknown field %q stands twice", f.Key))
		}
		if len(f.Value) == 0 {
			w.fail(fmt.Errorf("json: the unknown field %q: %w", f.Key, serializer.ErrNil))
		}
		w.key(',', f.Key)
		w.ascii(f.Value)
	}
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
