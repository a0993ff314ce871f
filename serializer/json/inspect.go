package json

import (
	"encoding"
	"encoding/json"
	"reflect"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/serializer"
)

var (
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	timeType      = reflect.TypeFor[time.Time]()
)

// inspect looks through a value before encoding/json does, which would
// overflow the stack on a long linked list. It says whether code of the
// program's own takes part in encoding it, whose output has to be checked.
func inspect(v any) (foreign bool, err error) {
	if kindOf(reflect.TypeOf(v)) == plain {
		return false, nil
	}
	in := inspector{}
	in.value(reflect.ValueOf(v), 0)
	if in.deep {
		return false, errDeep
	}
	return in.foreign, nil
}

type inspector struct{ foreign, deep bool }

func (in *inspector) value(v reflect.Value, depth int) {
	hops := 0
	for {
		if in.deep || !v.IsValid() {
			return
		}
		switch kindOf(v.Type()) {
		case plain:
			return
		case own:
			in.foreign = true
			return
		}
		if v.Kind() != reflect.Pointer && v.Kind() != reflect.Interface {
			break
		}
		if hops++; hops > serializer.MaxDepth {
			in.deep = true
			return
		}
		v = v.Elem()
	}
	if depth++; depth > serializer.MaxDepth {
		in.deep = true
		return
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			in.value(v.Index(i), depth)
		}
	case reflect.Map:
		if kindOf(v.Type().Key()) != plain {
			in.foreign = true
		}
		for it := v.MapRange(); it.Next(); {
			in.value(it.Value(), depth)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if encoded(v.Type().Field(i)) {
				in.value(v.Field(i), depth)
			}
		}
	}
}

// encoded says whether encoding/json looks at a field at all.
func encoded(f reflect.StructField) bool {
	return (f.IsExported() || f.Anonymous) && f.Tag.Get("json") != "-"
}

type kind int

const (
	plain kind = iota + 1 // nested no deeper than its type says, all by encoding/json
	own                   // has a method for it
	open                  // only the value can tell
)

var kinds sync.Map // reflect.Type to kind

func kindOf(t reflect.Type) kind {
	if k, ok := kinds.Load(t); ok {
		return k.(kind)
	}
	return classify(t, map[reflect.Type]bool{})
}

// classify goes down a type, of which the types above it are known. One that
// is within itself is open, and so is all between: each result is final.
func classify(t reflect.Type, above map[reflect.Type]bool) kind {
	if k, ok := kinds.Load(t); ok {
		return k.(kind)
	}
	if above[t] {
		return open
	}
	above[t] = true
	k := kindWithin(t, above)
	delete(above, t)
	kinds.Store(t, k)
	return k
}

func kindWithin(t reflect.Type, above map[reflect.Type]bool) kind {
	if t == timeType {
		return plain
	}
	if p := reflect.PointerTo(t); t.Kind() != reflect.Interface &&
		(p.Implements(marshaler) || p.Implements(textMarshaler)) {
		return own
	}
	all := plain
	within := func(part reflect.Type) {
		if all == plain && classify(part, above) != plain {
			all = open
		}
	}
	switch t.Kind() {
	case reflect.Interface:
		return open
	case reflect.Map:
		within(t.Key())
		within(t.Elem())
	case reflect.Pointer, reflect.Slice, reflect.Array:
		within(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); encoded(f) {
				within(f.Type)
			}
		}
	}
	return all
}
