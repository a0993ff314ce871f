package strictjson_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/serializer/internal/strictjson"
)

// A string may change after it was checked, and then has escapes that are none.
func TestUnescapedUnchecked(t *testing.T) {
	for _, raw := range []string{`\`, `x\q`, `\u12`, `\u12_4`, `\ud800`, `\ud800\u0041`, `\udc00`, "\\\n"} {
		_, err := strictjson.AppendUnescaped(nil, []byte(raw))
		assert.ErrorIs(t, err, serializer.ErrCorrupt, "%s", raw)
	}
}
