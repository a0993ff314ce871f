package msgpack_test

import (
	"testing"

	vm "github.com/vmihailenco/msgpack/v5"

	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/serializer/serializertest"
)

type plain struct {
	_msgpack       struct{} `msgpack:",as_array"` //nolint:unused // the library looks for it
	From, To, ID   string
	Micros         int64
	Ord            uint64
	Flags          uint8
	Headers, Extra map[string]string
	Content        vm.RawMessage
}

func Benchmark(b *testing.B) {
	serializertest.Benchmark(b, s, serializertest.Other{
		Name: "vmihailenco", Marshal: vm.Marshal, Unmarshal: vm.Unmarshal,
		Message: func(e *serializer.Envelope) any {
			return &plain{From: string(e.From), To: string(e.To), ID: string(e.ID), Micros: e.Micros, Ord: e.Ord, Content: e.Content}
		},
	})
}
