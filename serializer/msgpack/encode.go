package msgpack

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/serializer/internal/strictjson"
)

// AppendContent implements serializer.Serializer.
func (Serializer) AppendContent(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return dst, serializer.ErrNil
	case []byte:
		return appendBin(dst, v), nil
	case *[]byte: // saves who sends bytes the allocation of an interface
		if v != nil && *v != nil {
			return appendBin(dst, *v), nil
		}
	case string:
		if !utf8.ValidString(v) {
			return dst, fmt.Errorf("msgpack: %w", errText)
		}
		return appendStr(dst, v), nil
	case bool:
		return appendBool(dst, v), nil
	case int:
		return appendInt(dst, int64(v)), nil
	case int32:
		return appendInt(dst, int64(v)), nil
	case int64:
		return appendInt(dst, v), nil
	case uint:
		return appendUint(dst, uint64(v)), nil
	case uint32:
		return appendUint(dst, uint64(v)), nil
	case uint64:
		return appendUint(dst, v), nil
	}
	w := writer{b: dst}
	if err := w.value(reflect.ValueOf(v), 0); err != nil {
		return dst, fmt.Errorf("msgpack: content of type %T: %w", v, err)
	}
	if w.b[len(dst)] == nilCode {
		return dst, serializer.ErrNil
	}
	return w.b, nil
}

type writer struct{ b []byte }

var (
	errDeep = fmt.Errorf("nested deeper than %d, or contains itself", serializer.MaxDepth)
	errText = errors.New("text is not valid UTF-8 (send it as []byte)")
)

// value appends v, which is so many levels deep.
func (w *writer) value(v reflect.Value, depth int) error {
	for range serializer.MaxDepth {
		if !v.IsValid() {
			w.b = append(w.b, nilCode)
			return nil
		}
		s := shapeOf(v.Type())
		if done, err := w.marshal(v, s, depth); done {
			return err
		}
		if k := v.Kind(); k != reflect.Pointer && k != reflect.Interface {
			return w.bare(v, s, depth)
		}
		v = v.Elem()
	}
	return errDeep
}

// marshal lets a value write itself, if it has a method for it.
func (w *writer) marshal(v reflect.Value, s *shape, depth int) (done bool, err error) {
	isNil := v.Kind() == reflect.Pointer && v.IsNil()
	switch {
	case isNil || !v.CanInterface():
		return false, nil
	case s.json:
	case s.jsonByPointer && v.CanAddr():
		v = v.Addr()
	case s.text:
		return true, w.text(v)
	case s.textByPointer && v.CanAddr():
		return true, w.text(v.Addr())
	default:
		return false, nil
	}
	data, err := v.Interface().(json.Marshaler).MarshalJSON()
	if err != nil {
		return true, err
	}
	return true, w.fromJSON(data, depth)
}

func (w *writer) text(v reflect.Value) error {
	data, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	if err == nil {
		err = w.str(string(data))
	}
	return err
}

func (w *writer) str(s string) error {
	if !utf8.ValidString(s) {
		return errText
	}
	w.b = appendStr(w.b, s)
	return nil
}

// fromJSON appends the same value that data is in JSON.
func (w *writer) fromJSON(data []byte, depth int) error {
	data, err := strictjson.Whole(data)
	if err != nil {
		return err
	}
	switch data[0] {
	case '"':
		text, err := strictjson.AppendUnescaped(nil, data[1:len(data)-1])
		if err != nil {
			return err
		}
		return w.str(string(text))
	case '{', '[':
		if err := strictjson.Doubled(data); err != nil {
			return err
		}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return err
	}
	return w.value(reflect.ValueOf(v), depth)
}

// bare appends a value that has no method for it, and is no pointer.
func (w *writer) bare(v reflect.Value, s *shape, depth int) error {
	switch v.Kind() {
	case reflect.Bool:
		w.b = appendBool(w.b, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		w.b = appendInt(w.b, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		w.b = appendUint(w.b, v.Uint())
	case reflect.Float32, reflect.Float64:
		f := v.Float()
		switch {
		case math.IsNaN(f) || math.IsInf(f, 0):
			return fmt.Errorf("unsupported value %v", f)
		case v.Kind() == reflect.Float32:
			w.b = appendFloat32(w.b, float32(f))
		default:
			w.b = appendFloat64(w.b, f)
		}
	case reflect.String:
		if v.Type() == numberType {
			return w.number(v.String())
		}
		return w.str(v.String())
	case reflect.Slice, reflect.Map, reflect.Array, reflect.Struct:
		return w.container(v, s, depth)
	default:
		return fmt.Errorf("unsupported type %s", v.Type())
	}
	return nil
}

func (w *writer) container(v reflect.Value, s *shape, depth int) error {
	if k := v.Kind(); (k == reflect.Slice || k == reflect.Map) && v.IsNil() {
		w.b = append(w.b, nilCode)
		return nil
	}
	if s.bytes {
		w.b = appendBin(w.b, v.Bytes())
		return nil
	}
	if depth++; depth > serializer.MaxDepth {
		return errDeep
	}
	switch v.Kind() {
	case reflect.Map:
		return w.mapping(v, depth)
	case reflect.Struct:
		return w.structure(v, s, depth)
	}
	w.b = appendArray(w.b, v.Len())
	for i := range v.Len() {
		if err := w.value(v.Index(i), depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) mapping(v reflect.Value, depth int) error {
	type entry struct {
		key   string
		value reflect.Value
	}
	entries := make([]entry, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		key, err := keyText(it.Key())
		if err != nil {
			return err
		}
		entries = append(entries, entry{key, it.Value()})
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	w.b = appendMap(w.b, len(entries))
	for i, e := range entries {
		if i > 0 && e.key == entries[i-1].key {
			return fmt.Errorf("the key %q stands twice in one map", e.key)
		}
		if err := w.str(e.key); err != nil {
			return err
		}
		if err := w.value(e.value, depth); err != nil {
			return err
		}
	}
	return nil
}

func keyText(k reflect.Value) (string, error) {
	if k.Kind() == reflect.String {
		return k.String(), nil
	}
	if m, ok := k.Interface().(encoding.TextMarshaler); ok {
		if k.Kind() == reflect.Pointer && k.IsNil() {
			return "", nil
		}
		text, err := m.MarshalText()
		return string(text), err
	}
	switch {
	case k.CanInt():
		return strconv.FormatInt(k.Int(), 10), nil
	case k.CanUint():
		return strconv.FormatUint(k.Uint(), 10), nil
	}
	return "", fmt.Errorf("unsupported type %s of a map's keys", k.Type())
}

func (w *writer) structure(v reflect.Value, s *shape, depth int) error {
	// How many fields are left out is known only behind them: room for the
	// widest count that can be is kept, and filled in then.
	at := len(w.b)
	w.b = appendMap(w.b, len(s.fields))
	room := len(w.b) - at
	n := 0
	for i := range s.fields {
		f := &s.fields[i]
		fv, ok := f.of(v)
		if !ok {
			continue
		}
		n++
		w.b = appendStr(w.b, f.name)
		if err := w.value(fv, depth); err != nil {
			return err
		}
	}
	switch room {
	case 1:
		w.b[at] = 0x80 | byte(n)
	case 3:
		binary.BigEndian.PutUint16(w.b[at+1:], uint16(n))
	default:
		binary.BigEndian.PutUint32(w.b[at+1:], uint32(n))
	}
	return nil
}

// of returns the field of v, unless it is left out.
func (f *structField) of(v reflect.Value) (reflect.Value, bool) {
	for i, x := range f.index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v, !(f.omitEmpty && isEmpty(v)) && !(f.omitZero && isZero(v))
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func isZero(v reflect.Value) bool {
	if v.IsZero() || !v.CanInterface() {
		return v.IsZero()
	}
	z, ok := v.Interface().(interface{ IsZero() bool })
	return ok && z.IsZero()
}
