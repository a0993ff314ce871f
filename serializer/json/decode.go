package json

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/serializer/internal/still"
	"github.com/ipcmgr/ipcmgr/serializer/internal/strictjson"
)

// DecodeContent implements serializer.Serializer.
func (Serializer) DecodeContent(data []byte, v any) error {
	if v, ok := v.(*[]byte); ok && v != nil && decodePlain(data, v) {
		return nil
	}
	own := still.Of(data)
	defer own.Free()
	return decode(own.Bytes, v)
}

// decode decodes what nobody changes meanwhile.
func decode(data []byte, v any) error {
	data, err := strictjson.Whole(data)
	if err != nil {
		return err
	}
	if strictjson.IsNull(data) {
		return fmt.Errorf("json: %w: content is null", serializer.ErrCorrupt)
	}
	switch v := v.(type) {
	case *[]byte:
		if v != nil {
			return decodeBytes(data, v)
		}
	case *string:
		if v != nil && data[0] == '"' {
			*v, err = text(data)
			return err
		}
	case *json.RawMessage:
		if v != nil {
			*v = append((*v)[:0], data...)
			return nil
		}
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("json: content into %T: %w", v, err)
	}
	return nil
}

// text returns what a checked string says.
func text(quoted []byte) (string, error) {
	raw, err := unquoted(quoted)
	return string(raw), err
}

// unquoted returns the same as a view, if there are no escapes in it.
func unquoted(quoted []byte) ([]byte, error) {
	raw := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw, nil
	}
	return strictjson.AppendUnescaped(make([]byte, 0, len(raw)), raw)
}

// decodePlain decodes a string of base64 that has nothing else in it: it needs
// no other check than that of its digits.
func decodePlain(data []byte, v *[]byte) bool {
	last := len(data) - 1
	if last < 1 || data[0] != '"' || data[last] != '"' {
		return false
	}
	room := *v
	if room == nil {
		room = []byte{}
	}
	out, err := appendDecoded(room[:0], data[1:last])
	if err != nil || base64.StdEncoding.EncodedLen(len(out)) != last-1 { // it passes over ends of lines
		return false
	}
	*v = out
	return true
}

func decodeBytes(data []byte, v *[]byte) error {
	if data[0] != '"' {
		return errors.New("json: content into *[]byte: it is not a string of base64")
	}
	raw, err := unquoted(data)
	if err != nil {
		return err
	}
	if *v == nil {
		*v = []byte{}
	}
	out, err := appendDecoded((*v)[:0], raw)
	if err != nil {
		return fmt.Errorf("json: content into *[]byte: %w", err)
	}
	*v = out
	return nil
}
