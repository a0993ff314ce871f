package msgpack_test

import (
	"testing"

	"github.com/ipcmgr/ipcmgr/serializer/msgpack"
	"github.com/ipcmgr/ipcmgr/serializer/serializertest"
)

func TestConformance(t *testing.T) { serializertest.Run(t, msgpack.Serializer{}) }
