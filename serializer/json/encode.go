package json

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/serializer/internal/strictjson"
)

// AppendContent implements serializer.Serializer.
func (Serializer) AppendContent(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return dst, serializer.ErrNil
	case []byte:
		return appendBytes(dst, v), nil
	case *[]byte: // saves who sends bytes the allocation of an interface
		if v != nil && *v != nil {
			return appendBytes(dst, *v), nil
		}
	case string:
		out, err := strictjson.AppendString(dst, v)
		return whole(dst, out, err)
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int32:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case uint:
		return strconv.AppendUint(dst, uint64(v), 10), nil
	case uint32:
		return strconv.AppendUint(dst, uint64(v), 10), nil
	case uint64:
		return strconv.AppendUint(dst, v, 10), nil
	case json.RawMessage:
		if v == nil {
			return dst, serializer.ErrNil
		}
		return appendForeign(dst, v)
	}
	return appendGeneral(dst, v)
}

func appendBytes(dst, v []byte) []byte {
	return append(appendBase64(append(dst, '"'), v), '"')
}

// whole returns what was made, or dst as it was with the error.
func whole(dst, out []byte, err error) ([]byte, error) {
	if err != nil {
		return dst, err
	}
	return out, nil
}

// appendForeign appends JSON that somebody else made.
func appendForeign(dst, data []byte) ([]byte, error) {
	data, err := strictjson.Whole(data)
	if err != nil {
		return dst, err
	}
	if strictjson.IsNull(data) {
		return dst, serializer.ErrNil
	}
	if err := strictjson.Doubled(data); err != nil {
		return dst, err
	}
	out, err := strictjson.AppendASCII(dst, data)
	return whole(dst, out, err)
}

func appendGeneral(dst []byte, v any) ([]byte, error) {
	foreign, err := inspect(v)
	if err != nil {
		return dst, err
	}
	std := encoders.Get().(*encoder)
	defer std.release()
	if err := std.Encode(v); err != nil {
		return dst, fmt.Errorf("json: content of type %T: %w", v, err)
	}
	made := bytes.TrimSuffix(std.buf.Bytes(), []byte{'\n'})
	switch {
	case foreign:
		return appendForeign(dst, made)
	case strictjson.IsNull(made):
		return dst, serializer.ErrNil
	case mended(made):
		return dst, fmt.Errorf("%w, in content of type %T", strictjson.ErrNotText, v)
	}
	out, err := strictjson.AppendASCII(dst, made)
	return whole(dst, out, err)
}

// encoder is encoding/json's, with the buffer it writes to.
type encoder struct {
	buf bytes.Buffer
	*json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.Encoder = json.NewEncoder(&e.buf)
	e.SetEscapeHTML(false)
	return e
}}

// release gives e back, unless it would keep much memory.
func (e *encoder) release() {
	if e.buf.Cap() <= 64<<10 {
		e.buf.Reset()
		encoders.Put(e)
	}
}

// mended says whether encoding/json has replaced bytes that were not UTF-8. It
// writes the replacement as an escape, but a replacement character that was in
// the text as it is.
func mended(made []byte) bool {
	replacement := []byte(`\ufffd`)
	for {
		i := bytes.Index(made, replacement)
		if i < 0 {
			return false
		}
		slashes := 0
		for i-slashes > 0 && made[i-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return true
		}
		made = made[i+len(replacement):]
	}
}

var errDeep = errors.New("json: content is nested deeper than " + strconv.Itoa(serializer.MaxDepth) + ", or contains itself")
