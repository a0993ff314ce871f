// Package serializer is the contract between ipcmgr and the ways of writing
// messages. A serializer writes and reads two things: the content of a message,
// which is any Go value, and the envelope around it. What it is given to read
// may come from anyone, and may lie in memory that others write to meanwhile:
// it never panics, and never allocates more than a small multiple of what it
// was given.
//
// Package serializertest is the suite that a serializer passes.
package serializer

import "github.com/ipcmgr/ipcmgr/internal/byname"

// MaxDepth is how deeply content may be nested, in both directions and for
// every serializer: foreign readers give up at 512.
const MaxDepth = 500

// MaxFields bounds the headers of one message, and also its unknown fields,
// for every serializer: telling doubles among more of them would be work that
// a hostile writer could ask for.
const MaxFields = 256

// Envelope is a message as it is written. Reading fills it with views of the
// bytes read.
type Envelope struct {
	ID        []byte
	From      []byte // neither empty nor "0", which foreign readers take for nobody
	To        []byte
	Micros    int64  // when it was built, in microseconds since the epoch
	Ord       uint64 // orders messages of one sender with the same Micros
	Broadcast bool
	Headers   []Pair  // small strings; no key twice
	Content   []byte  // one encoded value, never null
	Extra     []Field // what a foreign writer added and we do not know
}

// Pair is one header.
type Pair struct{ Key, Value string }

// Field is an unknown part of an envelope, its value as it was encoded.
type Field struct {
	Key   string
	Value []byte
}

// Serializer is one way to write messages. Its methods may be called
// concurrently.
type Serializer interface {
	// Name is what a configuration calls it, in lower case.
	Name() string
	// AppendContent appends v, encoded, with the meaning that encoding/json
	// gives it: json tags, json.Marshaler, map keys as strings. Whatever would
	// be null there (nil, a nil pointer, map or slice) is refused with ErrNil,
	// except a nil []byte, which is an empty one. Refused too, with an error
	// that says what: a string that is not valid UTF-8, NaN and the infinities,
	// an integer for which the form has no room, what is nested deeper than
	// MaxDepth or contains itself.
	AppendContent(dst []byte, v any) ([]byte, error)
	// DecodeContent decodes one whole value into v, a pointer. What it stores
	// is a copy; a []byte that has room is reused. Numbers become float64 in
	// an any, as encoding/json has it. An error that does not match ErrCorrupt
	// says that the value is sound but does not fit v. Where data changes
	// meanwhile, what is decoded was checked all the same, or the error
	// matches ErrCorrupt.
	DecodeContent(data []byte, v any) error
	// IsObject says whether content, which AppendContent made or ParseEnvelope
	// found, is what encoding/json would write as an object.
	IsObject(content []byte) bool
	// AppendEnvelope appends a message. e.Content and the values of e.Extra
	// are what AppendContent made, or what ParseEnvelope of the same
	// serializer found; they are not checked again.
	AppendEnvelope(dst []byte, e *Envelope) ([]byte, error)
	// ParseEnvelope reads one whole message and checks all of it, content
	// included: what it accepts, DecodeContent can read into an any, unless it
	// has changed since. It
	// overwrites every field of e and may reuse the slices of e.
	ParseEnvelope(data []byte, e *Envelope) error
}

type sentinel string

func (s sentinel) Error() string { return string(s) }

const (
	// ErrNil is given for content that is nil, or null in JSON, which no
	// serializer writes.
	ErrNil = sentinel("content is nil or null")
	// ErrCorrupt is matched by every error about bytes that are not a message
	// or a value of the serializer's form.
	ErrCorrupt = sentinel("not well-formed")
)

var known = byname.New[Serializer]("serializer", "github.com/ipcmgr/ipcmgr/serializer/")

// Register makes a serializer known under its name; a serializer's package
// does it when it is imported. It panics when the name is taken.
func Register(s Serializer) { known.Add(s.Name(), s) }

// Get returns a registered serializer. Its error lists those that are
// registered and says what to import.
func Get(name string) (Serializer, error) { return known.Get(name) }

// Names lists the registered serializers, sorted.
func Names() []string { return known.Names() }
