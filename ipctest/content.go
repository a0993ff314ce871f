package ipctest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// Anything stands for every content: Expect(t, c, "a", ipctest.Anything{}).
type Anything struct{}

// wanted is a content that a test expects.
type wanted struct {
	value   any
	ser     serializer.Serializer
	encoded []byte
	tree    any
}

// want encodes a value as it would travel, so that it is compared after the
// same journey: a nil slice that comes as an empty one is no difference.
func want(st *ipcmgr.Store, v any) (*wanted, error) {
	if _, any := v.(Anything); any {
		return &wanted{value: v}, nil
	}
	ser, err := serializer.Get(st.Info().Serializer)
	if err != nil {
		return nil, err
	}
	w := &wanted{value: v, ser: ser}
	if w.encoded, err = ser.AppendContent(nil, v); err != nil {
		return nil, fmt.Errorf("what is expected cannot be sent: %w", err)
	}
	return w, ser.DecodeContent(w.encoded, &w.tree)
}

// matches compares all of the content: fields that the wanted value does not
// have are a difference.
func (w *wanted) matches(m *ipcmgr.Message) bool {
	if w.ser == nil {
		return true
	}
	var tree any
	if m.Decode(&tree) != nil || !reflect.DeepEqual(tree, w.tree) {
		return false
	}
	// In a tree all numbers are float64, which takes large ones for equal.
	x, y := reflect.New(reflect.TypeOf(w.value)), reflect.New(reflect.TypeOf(w.value))
	if errors.Join(m.Decode(x.Interface()), w.ser.DecodeContent(w.encoded, y.Interface())) != nil {
		return true
	}
	return reflect.DeepEqual(x.Interface(), y.Interface())
}

// difference shows what a message has instead of the wanted.
func (w *wanted) difference(m *ipcmgr.Message) string {
	var tree any
	if err := m.Decode(&tree); err != nil {
		return err.Error()
	}
	a, b := pretty(w.tree), pretty(tree)
	if a == b { // numbers that differ only in their own type
		v := reflect.New(reflect.TypeOf(w.value))
		_ = m.Decode(v.Interface()) // the tree did decode
		a, b = fmt.Sprintf("%#v", w.value), fmt.Sprintf("%#v", v.Elem().Interface())
	}
	return diff(a, b)
}

func (w *wanted) String() string {
	if w.ser == nil {
		return "anything"
	}
	return compact(w.tree)
}

// maxLine is how many bytes of a content are shown in a list.
const maxLine = 200

// oneLine shows a message in a list.
func oneLine(m *ipcmgr.Message) string {
	text := fmt.Sprintf("from %q: ", m.From)
	var tree any
	if err := m.Decode(&tree); err != nil {
		return text + err.Error()
	}
	text += compact(tree)
	if m.Redelivered {
		text += " (redelivered)"
	}
	return text
}

func compact(tree any) string {
	text, err := json.Marshal(tree)
	if err != nil {
		return fmt.Sprint(tree)
	}
	if len(text) > maxLine {
		return fmt.Sprintf("%s… (%d bytes)", text[:maxLine], len(text))
	}
	return string(text)
}

func pretty(tree any) string {
	text, err := json.MarshalIndent(tree, "", "  ")
	if err != nil {
		return fmt.Sprint(tree)
	}
	return string(text)
}

// maxList is how many entries of a list are shown.
const maxList = 20

func shorten(list []string) []string {
	if len(list) <= maxList {
		return list
	}
	return append(list[:maxList:maxList], fmt.Sprintf("\n\tand %d more", len(list)-maxList))
}
