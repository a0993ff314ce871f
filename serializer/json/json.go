// Package json writes messages as JSON, in the form that Perl's IPC::Manager
// reads and writes. Importing it registers the serializer.
//
// A message is one object:
//
//	{"to":"z","from":"a","id":"01A1…","stamp":1795149013.470850,"stamp_ord":0,"content":{"x":1}}
//
// with "broadcast":1 on broadcasts and "headers", an object of strings, where
// there are any. Keys of others are kept. All of it is ASCII: every other rune
// is written as \uXXXX, because Perl would take its bytes for characters.
//
// Reading is strict, except about types: Perl writes numbers as 5 or "5", and
// booleans as 1 and "". An id that is a number is taken by its digits.
//
// Content has the meaning that encoding/json gives it, with a []byte in base64.
// A json.RawMessage travels as it is, once checked. Numbers decode into an any
// as float64, which is exact for integers up to 2⁵³: decode larger ones into
// an int64, a uint64 or a json.RawMessage.
package json

import "github.com/ipcmgr/ipcmgr/serializer"

// Name is what a configuration calls this serializer.
const Name = "json"

// Serializer is the JSON serializer; its zero value is ready.
type Serializer struct{}

var _ serializer.Serializer = Serializer{}

func init() { serializer.Register(Serializer{}) }

// Name returns "json".
func (Serializer) Name() string { return Name }

// IsObject implements serializer.Serializer.
func (Serializer) IsObject(content []byte) bool { return content[0] == '{' }
