package msgpack

import (
	"cmp"
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
)

var (
	marshaler       = reflect.TypeFor[json.Marshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	numberType      = reflect.TypeFor[json.Number]()
)

// shape is what is known about a type before looking at a value of it. It
// follows encoding/json, so that a type means the same in both serializers.
type shape struct {
	json, jsonByPointer bool // has MarshalJSON; or its pointer has
	text, textByPointer bool // has MarshalText; or its pointer has
	bytes               bool // a slice of plain bytes
	fields              []structField
	byName              map[string]*structField
}

type structField struct {
	name      string
	index     []int // as reflect.Value.FieldByIndex takes it
	tagged    bool
	omitEmpty bool
	omitZero  bool
}

var shapes sync.Map // reflect.Type to *shape

func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := &shape{}
	if t.Kind() != reflect.Interface {
		p := reflect.PointerTo(t)
		s.json, s.text = t.Implements(marshaler), t.Implements(textMarshaler)
		if t.Kind() != reflect.Pointer {
			s.jsonByPointer, s.textByPointer = p.Implements(marshaler), p.Implements(textMarshaler)
		}
	}
	switch t.Kind() {
	case reflect.Slice:
		if e := t.Elem(); e.Kind() == reflect.Uint8 {
			p := reflect.PointerTo(e)
			s.bytes = !p.Implements(marshaler) && !p.Implements(textMarshaler)
		}
	case reflect.Struct:
		s.fields = structFields(t)
		s.byName = make(map[string]*structField, len(s.fields))
		for i := range s.fields {
			s.byName[s.fields[i].name] = &s.fields[i]
		}
	}
	shapes.Store(t, s)
	return s
}

// field finds the field for a key; one that differs only in case will do.
func (s *shape) field(key []byte) *structField {
	if f := s.byName[string(key)]; f != nil {
		return f
	}
	for i := range s.fields {
		if strings.EqualFold(s.fields[i].name, string(key)) {
			return &s.fields[i]
		}
	}
	return nil
}

// structFields lists the fields of a struct, those of embedded structs
// included, in the order of the source. Of several with one name the least
// deeply embedded wins, among equals the only one with a tag, else none.
func structFields(t reflect.Type) []structField {
	type level struct {
		t     reflect.Type
		index []int
	}
	var found []structField
	taken := map[string]bool{}
	visited := map[reflect.Type]bool{t: true}
	for here := []level{{t: t}}; len(here) > 0; {
		var deeper []level
		byName := map[string][]structField{}
		for _, l := range here {
			for i := range l.t.NumField() {
				f := l.t.Field(i)
				index := append(slices.Clone(l.index), i)
				tag := f.Tag.Get("json")
				name, options, _ := strings.Cut(tag, ",")
				embedded := f.Type
				if embedded.Kind() == reflect.Pointer && embedded.Name() == "" {
					embedded = embedded.Elem()
				}
				inlined := f.Anonymous && name == "" && embedded.Kind() == reflect.Struct
				switch {
				case tag == "-", !f.IsExported() && !(f.Anonymous && embedded.Kind() == reflect.Struct):
				case inlined:
					deeper = append(deeper, level{embedded, index})
				default:
					sf := structField{name: cmp.Or(name, f.Name), index: index, tagged: name != ""}
					for option := range strings.SplitSeq(options, ",") {
						sf.omitEmpty = sf.omitEmpty || option == "omitempty"
						sf.omitZero = sf.omitZero || option == "omitzero"
					}
					byName[sf.name] = append(byName[sf.name], sf)
				}
			}
		}
		for name, fs := range byName {
			if !taken[name] {
				taken[name] = true
				if f, ok := dominant(fs); ok {
					found = append(found, f)
				}
			}
		}
		here = nil
		for _, l := range deeper {
			if !visited[l.t] {
				here = append(here, l)
			}
		}
		for _, l := range here {
			visited[l.t] = true
		}
	}
	slices.SortFunc(found, func(a, b structField) int { return slices.Compare(a.index, b.index) })
	return found
}

func dominant(fs []structField) (structField, bool) {
	if len(fs) == 1 {
		return fs[0], true
	}
	tagged := slices.DeleteFunc(fs, func(f structField) bool { return !f.tagged })
	if len(tagged) == 1 {
		return tagged[0], true
	}
	return structField{}, false
}
