package ipcmgr_test

import (
	"context"
	"testing"

	"github.com/ipcmgr/ipcmgr"
)

// BenchmarkSendAndReceive counts the allocations of a message of 1 KiB, sent
// and received in one process. How fast messages are between processes, and
// beside what else, is measured by bench/.
func BenchmarkSendAndReceive(b *testing.B) {
	for _, p := range protocols {
		b.Run(p, func(b *testing.B) {
			b.Setenv("XDG_RUNTIME_DIR", b.TempDir())
			ctx := context.Background()
			s, err := ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{p}, Serializer: "msgpack"})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			c, err := s.Connect(ctx, "c")
			if err != nil {
				b.Fatal(err)
			}
			content := any(make([]byte, 1<<10))
			var got []byte
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Send(ctx, "c", content); err != nil {
					b.Fatal(err)
				}
				m, err := c.Receive(ctx)
				if err != nil {
					b.Fatal(err)
				}
				if err := m.Decode(&got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
