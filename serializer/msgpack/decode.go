package msgpack

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/ipcmgr/ipcmgr/serializer/internal/still"
	"github.com/ipcmgr/ipcmgr/serializer/internal/strictjson"
)

// DecodeContent implements serializer.Serializer.
func (Serializer) DecodeContent(data []byte, v any) error {
	if decodePlain(data, v) {
		return nil
	}
	own := still.Of(data)
	defer own.Free()
	return decode(own.Bytes, v)
}

// decodePlain decodes bytes and text, which are copied whole before anything is
// believed of them.
func decodePlain(data []byte, v any) bool {
	k, n, next := head(data, 0)
	if n != uint64(len(data)-next) {
		return false
	}
	switch v := v.(type) {
	case *[]byte:
		if v == nil || k != bin {
			return false
		}
		if *v == nil {
			*v = make([]byte, 0, n)
		}
		*v = append((*v)[:0], data[next:]...)
		return true
	case *string:
		if v == nil || k != str {
			return false
		}
		s := string(data[next:])
		if !strictjson.IsText([]byte(s)) {
			return false
		}
		*v = s
		return true
	}
	return false
}

// decode decodes what nobody changes meanwhile.
func decode(data []byte, v any) error {
	end, err := scan(data, 0, 0)
	switch {
	case err != nil:
		return err
	case end != len(data):
		return corrupt(end, "more follows after the value")
	case data[0] == nilCode:
		return corrupt(0, "content is nil")
	}
	r := reader{d: data}
	switch v := v.(type) {
	case *json.RawMessage:
		if v != nil {
			*v, err = r.toJSON()
			return into(v, err)
		}
	case *any:
		if v != nil && *v == nil {
			*v = r.any(asFloat)
			return nil
		}
	}
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() {
		return into(v, errors.New("it is no pointer to decode into"))
	}
	return into(v, r.value(rv))
}

func into(v any, err error) error {
	if err != nil {
		return fmt.Errorf("msgpack: content into %T: %w", v, err)
	}
	return nil
}

// reader reads elements that scan has accepted.
type reader struct {
	d []byte
	i int
}

func (r *reader) head() (k kind, n uint64) {
	k, n, r.i = head(r.d, r.i)
	return k, n
}

func (r *reader) take(n uint64) []byte {
	s := r.d[r.i : r.i+int(n)]
	r.i += int(n)
	return s
}

func (r *reader) skip() {
	switch k, n := r.head(); k {
	case str, bin:
		r.i += int(n)
	case array:
		for range n {
			r.skip()
		}
	case mapping:
		for range 2 * n {
			r.skip()
		}
	}
}

// value decodes the next element into v.
func (r *reader) value(v reflect.Value) error {
	start := r.i
	k, n := r.head()
	v, method := settle(v, k == null)
	switch m := method.(type) {
	case json.Unmarshaler:
		r.i = start
		data, err := r.toJSON()
		if err != nil {
			return err
		}
		return m.UnmarshalJSON(data)
	case encoding.TextUnmarshaler:
		if k == null {
			return nil
		}
		if k != str {
			return fmt.Errorf("%s does not fit %T", k, m)
		}
		return m.UnmarshalText(append([]byte(nil), r.take(n)...))
	}
	if k == null {
		switch v.Kind() {
		case reflect.Interface, reflect.Pointer, reflect.Map, reflect.Slice:
			v.SetZero()
		}
		return nil
	}
	if v.Kind() == reflect.Interface && v.NumMethod() == 0 {
		r.i = start
		v.Set(reflect.ValueOf(r.any(asFloat)))
		return nil
	}
	switch k {
	case boolean:
		if v.Kind() == reflect.Bool {
			v.SetBool(n == 1)
			return nil
		}
	case positive, negative, float32s, float64s:
		return setNumber(v, k, n)
	case str:
		if v.Kind() == reflect.String && v.Type() != numberType {
			v.SetString(string(r.take(n)))
			return nil
		}
	case bin:
		if v.Kind() == reflect.Slice && shapeOf(v.Type()).bytes {
			v.SetBytes(append(v.Bytes()[:0:0], r.take(n)...))
			if v.IsNil() {
				v.Set(reflect.MakeSlice(v.Type(), 0, 0))
			}
			return nil
		}
	case array:
		switch v.Kind() {
		case reflect.Slice:
			return r.slice(v, int(n))
		case reflect.Array:
			return r.array(v, int(n))
		}
	case mapping:
		switch v.Kind() {
		case reflect.Map:
			return r.mapping(v, int(n))
		case reflect.Struct:
			return r.structure(v, int(n))
		}
	}
	return misfit(k, v)
}

func misfit(k kind, v reflect.Value) error { return fmt.Errorf("%s does not fit %s", k, v.Type()) }

// settle follows and makes pointers down to what is to be set, or to the first
// that decodes by a method of its own. A nil goes into the last pointer.
func settle(v reflect.Value, null bool) (reflect.Value, any) {
	if v.Kind() != reflect.Pointer && v.Type().Name() != "" && v.CanAddr() {
		v = v.Addr()
	}
	for {
		if v.Kind() == reflect.Interface && !v.IsNil() {
			if p := v.Elem(); p.Kind() == reflect.Pointer && !p.IsNil() && (!null || p.Elem().Kind() == reflect.Pointer) {
				v = p
			}
		}
		if v.Kind() != reflect.Pointer || null && v.CanSet() {
			return v, nil
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		if v.Type().NumMethod() > 0 && v.CanInterface() {
			switch m := v.Interface().(type) {
			case json.Unmarshaler, encoding.TextUnmarshaler:
				return v, m
			}
		}
		v = v.Elem()
	}
}

func (r *reader) slice(v reflect.Value, n int) error {
	if v.Cap() < n || v.IsNil() {
		v.Set(reflect.MakeSlice(v.Type(), n, n))
	} else {
		v.SetLen(n)
		v.Clear()
	}
	for i := range n {
		if err := r.value(v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

// array fills v; elements too many are skipped, missing ones become zero.
func (r *reader) array(v reflect.Value, n int) error {
	for i := range n {
		if i >= v.Len() {
			r.skip()
		} else if err := r.value(v.Index(i)); err != nil {
			return err
		}
	}
	for i := n; i < v.Len(); i++ {
		v.Index(i).SetZero()
	}
	return nil
}

func (r *reader) mapping(v reflect.Value, n int) error {
	t := v.Type()
	if v.IsNil() {
		v.Set(reflect.MakeMap(t))
	}
	key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
	for range n {
		key.SetZero()
		value.SetZero()
		_, size := r.head()
		if err := setKey(key, string(r.take(size))); err != nil {
			return err
		}
		if err := r.value(value); err != nil {
			return err
		}
		v.SetMapIndex(key, value)
	}
	return nil
}

func setKey(key reflect.Value, text string) error {
	if reflect.PointerTo(key.Type()).Implements(textUnmarshaler) {
		return key.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
	}
	switch {
	case key.Kind() == reflect.String:
		key.SetString(text)
		return nil
	case key.CanInt():
		if i, err := strconv.ParseInt(text, 10, 64); err == nil && !key.OverflowInt(i) {
			key.SetInt(i)
			return nil
		}
	case key.CanUint():
		if u, err := strconv.ParseUint(text, 10, 64); err == nil && !key.OverflowUint(u) {
			key.SetUint(u)
			return nil
		}
	}
	return fmt.Errorf("the key %q does not fit %s", text, key.Type())
}

func (r *reader) structure(v reflect.Value, n int) error {
	s := shapeOf(v.Type())
	for range n {
		_, size := r.head()
		f := s.field(r.take(size))
		if f == nil {
			r.skip()
			continue
		}
		fv, err := f.make(v)
		if err != nil {
			return err
		}
		if err := r.value(fv); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// make returns the field of v, after making the embedded structs around it.
func (f *structField) make(v reflect.Value) (reflect.Value, error) {
	for i, x := range f.index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				if !v.CanSet() {
					return v, fmt.Errorf("%s: cannot make the embedded struct of %s, which is not exported", f.name, v.Type())
				}
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v, nil
}
