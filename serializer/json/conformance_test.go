package json_test

import (
	"testing"

	"github.com/ipcmgr/ipcmgr/serializer/json"
	"github.com/ipcmgr/ipcmgr/serializer/serializertest"
)

func TestConformance(t *testing.T) { serializertest.Run(t, json.Serializer{}) }
