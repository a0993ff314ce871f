package ipcmgr

import (
	"bytes"
	"encoding/json"

	"github.com/ipcmgr/ipcmgr/serializer"
)

// terminateContent is what asks a peer to terminate.
var terminateContent = map[string]any{"terminate": true}

var terminateKey = []byte("terminate")

// isTerminate looks for the word before it decodes: nearly all objects have it
// nowhere, and the search runs at the speed of memory.
func isTerminate(s serializer.Serializer, content []byte) bool {
	if !s.IsObject(content) || !bytes.Contains(content, terminateKey) {
		return false
	}
	var object map[string]any
	if s.DecodeContent(content, &object) != nil {
		return false
	}
	return truthy(object["terminate"])
}

// truthy is truth as Perl has it.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != "" && v != "0"
	case []byte:
		return len(v) > 0 && string(v) != "0"
	case json.Number:
		f, err := v.Float64()
		return err != nil || f != 0
	case float64:
		return v != 0
	case float32:
		return v != 0
	case int64:
		return v != 0
	case uint64:
		return v != 0
	case int8:
		return v != 0
	case int16:
		return v != 0
	case int32:
		return v != 0
	case uint8:
		return v != 0
	case uint16:
		return v != 0
	case uint32:
		return v != 0
	}
	return true
}
