package ipcmgr_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ipcmgr/ipcmgr"
)

// BenchmarkClient shows what a message costs above the protocol: the mailbox
// is one that neither keeps nor waits. Each line is for one message.
//
//	go test -run '^$' -bench Client .
func BenchmarkClient(b *testing.B) {
	for _, serializer := range []string{"msgpack", "json"} {
		for _, size := range []int{64, 1024} {
			b.Run(fmt.Sprintf("%s/%d", serializer, size), func(b *testing.B) { benchmarkClient(b, serializer, size) })
		}
	}
}

func benchmarkClient(b *testing.B, serializer string, size int) {
	ctx := context.Background()
	c, box := connectNowhere(b, serializer)
	content := make([]byte, size)
	if err := c.Send(ctx, "c", content); err != nil { // what there is to receive
		b.Fatal(err)
	}
	var reused []byte
	decode := func(b *testing.B, m *ipcmgr.Message, into *[]byte) {
		if err := m.Decode(into); err != nil || len(*into) != size {
			b.Fatal(err, len(*into))
		}
	}
	b.Run("Send", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := c.Send(ctx, "c", content); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("SendPointer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := c.Send(ctx, "c", &content); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("SendBatch", func(b *testing.B) {
		b.ReportAllocs()
		contents := make([]any, 100)
		for i := range contents {
			contents[i] = content
		}
		for sent := 0; sent < b.N; sent += len(contents) {
			if _, err := c.SendBatch(ctx, "c", contents...); err != nil {
				b.Fatal(err)
			}
		}
	})
	messages := func(each func(*ipcmgr.Message)) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for m, err := range c.Messages(ctx) {
				if err != nil {
					b.Fatal(err)
				}
				each(m)
				if n++; n == b.N {
					break
				}
			}
		}
	}
	b.Run("Messages", messages(func(*ipcmgr.Message) {}))
	b.Run("Messages+DecodeReused", messages(func(m *ipcmgr.Message) { decode(b, m, &reused) }))
	b.Run("Messages+DecodeKept", messages(func(m *ipcmgr.Message) { decode(b, m, new([]byte)) }))
	b.Run("Poll+DecodeReused", func(b *testing.B) {
		b.ReportAllocs()
		for got := 0; got < b.N; {
			ms, err := c.Poll(ctx, 100)
			if err != nil {
				b.Fatal(err)
			}
			for _, m := range ms {
				decode(b, m, &reused)
			}
			got += len(ms)
		}
	})
	receive := func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m, err := c.Receive(ctx)
			if err != nil {
				b.Fatal(err)
			}
			decode(b, m, &reused)
		}
	}
	b.Run("Receive+DecodeReused", receive)
	box.most = 1
	b.Run("ReceiveAlone+DecodeReused", receive)
}
