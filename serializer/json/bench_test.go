package json_test

import (
	stdjson "encoding/json"
	"testing"

	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/serializer/serializertest"
)

type plain struct {
	To      string             `json:"to"`
	From    string             `json:"from"`
	ID      string             `json:"id"`
	Stamp   float64            `json:"stamp"`
	Ord     uint64             `json:"stamp_ord"`
	Content stdjson.RawMessage `json:"content"`
}

func Benchmark(b *testing.B) {
	serializertest.Benchmark(b, s, serializertest.Other{
		Name: "encoding-json", Marshal: stdjson.Marshal, Unmarshal: stdjson.Unmarshal,
		Message: func(e *serializer.Envelope) any {
			return &plain{string(e.To), string(e.From), string(e.ID), float64(e.Micros) / 1e6, e.Ord, e.Content}
		},
	})
}
