package json

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/serializer/internal/strictjson"
)

// DecodeContent implements serializer.Serializer.
func (Serializer) DecodeContent(data []byte, v any) error {
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
			*v = text(data)
			return nil
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
func text(quoted []byte) string {
	raw := quoted[1 : len(quoted)-1]
	if !escaped(raw) {
		return string(raw)
	}
	return string(strictjson.AppendUnescaped(make([]byte, 0, len(raw)), raw))
}

func decodeBytes(data []byte, v *[]byte) error {
	if data[0] != '"' {
		return errors.New("json: content into *[]byte: it is not a string of base64")
	}
	raw := data[1 : len(data)-1]
	if escaped(raw) {
		raw = strictjson.AppendUnescaped(make([]byte, 0, len(raw)), raw)
	}
	if *v == nil {
		*v = make([]byte, 0, base64.StdEncoding.DecodedLen(len(raw)))
	}
	out, err := base64.StdEncoding.AppendDecode((*v)[:0], raw)
	if err != nil {
		return fmt.Errorf("json: content into *[]byte: %w", err)
	}
	*v = out
	return nil
}
