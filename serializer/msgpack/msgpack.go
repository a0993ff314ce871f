// Package msgpack writes messages as MessagePack. Importing it registers the
// serializer.
//
// A message is an array of nine elements, the content last, so that reading
// one looks at content without copying it:
//
//	[from, to, id, micros, ord, flags, headers, extra, content]
//
// from, to and id are str; micros, ord and flags are integers, flags being 1
// for a broadcast and 0 otherwise; headers is a map of str to str, extra one
// of str to anything, and each of them is nil where there is none. Integers
// and lengths may be of any legal width; nothing may follow the array.
//
// Content means what encoding/json would make of the same value, so that a
// program may swap the two serializers: json tags, json.Marshaler and
// encoding.TextMarshaler decide, map keys are str and sorted, a time.Time is
// its text, and a json.RawMessage is translated, in both directions. But a
// []byte is bin, integers and floats are binary, and an any that held a []byte
// gets a []byte back instead of base64. NaN, the infinities and extension
// types, which have no such meaning, are refused.
//
// A number that comes as text, in a json.Number, a json.RawMessage or what a
// json.Marshaler gives, is an integer if it has neither fraction nor exponent.
// One that fits neither int64 nor uint64 is refused, unless a float64 has the
// same digits: as a string it fits. With a fraction or an exponent it becomes the
// nearest float64, as encoding/json makes of it for an any, and is refused if
// that would be infinite, or 0 though it is not.
//
// Sizes, counts and depth are checked against the bytes that are there before
// any of them is believed. What is allocated is then up to what is decoded
// into: for an any it is at most some 110 bytes for each one read (a map of
// one element costs the most).
package msgpack

import "github.com/ipcmgr/ipcmgr/serializer"

// Name is what a configuration calls this serializer.
const Name = "msgpack"

// Serializer is the MessagePack serializer; its zero value is ready.
type Serializer struct{}

var _ serializer.Serializer = Serializer{}

func init() { serializer.Register(Serializer{}) }

// Name returns "msgpack".
func (Serializer) Name() string { return Name }

// IsObject implements serializer.Serializer.
func (Serializer) IsObject(content []byte) bool {
	return content[0]&0xf0 == 0x80 || content[0] == 0xde || content[0] == 0xdf
}
