package ipcmgr_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

func BenchmarkZZ(b *testing.B) {
	for _, ser := range []string{"json", "msgpack"} {
		for _, mode := range []string{"receive", "messages", "batch", "manual"} {
			b.Run(ser+"/"+mode, func(b *testing.B) {
				ctx := context.Background()
				s, err := ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Serializer: ser})
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				var opts []ipcmgr.ConnectOption
				if mode == "manual" {
					opts = append(opts, ipcmgr.ManualAck())
				}
				a, _ := s.Connect(ctx, "a")
				r, _ := s.Connect(ctx, "r", opts...)
				content := make([]byte, 1024)
				buf := make([]byte, 0, 2048)
				b.ReportAllocs()
				done := make(chan error, 1)
				switch mode {
				case "receive", "manual":
					for b.Loop() {
						if err := a.Send(ctx, "r", content); err != nil {
							b.Fatal(err)
						}
						m, err := r.Receive(ctx)
						if err != nil {
							b.Fatal(err)
						}
						if err := m.Decode(&buf); err != nil {
							b.Fatal(err)
						}
						if mode == "manual" {
							if err := m.Ack(ctx); err != nil {
								b.Fatal(err)
							}
						}
					}
				case "messages", "batch":
					n := b.N
					go func() {
						left := n
						for m, err := range r.Messages(ctx) {
							if err != nil {
								done <- err
								return
							}
							if err := m.Decode(&buf); err != nil {
								done <- err
								return
							}
							if left--; left == 0 {
								m.Ack(ctx)
								break
							}
						}
						done <- nil
					}()
					if mode == "messages" {
						for range n {
							if err := a.Send(ctx, "r", content); err != nil {
								b.Fatal(err)
							}
						}
					} else {
						batch := make([]any, 100)
						for i := range batch {
							batch[i] = content
						}
						for i := 0; i < n; i += 100 {
							if _, err := a.SendBatch(ctx, "r", batch[:min(100, n-i)]...); err != nil {
								b.Fatal(err)
							}
						}
					}
					if err := <-done; err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
			})
		}
	}
}

func TestZZAdoptOther(t *testing.T) {
	for _, pair := range [][2]string{{"fsqueue", "bbolt"}, {"bbolt", "unixsocket"}, {"unixsocket", "fsqueue"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		route := t.TempDir() + "/s"
		s, err := ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{pair[0]}, Serializer: "json", Route: route})
		if err != nil {
			t.Fatal(err)
		}
		_, err = ipcmgr.Adopt(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{pair[1]}, Serializer: "json", Route: route})
		fmt.Println(pair, err)
		s.Close()
		cancel()
	}
}

func TestZZDrainPastTheLimit(t *testing.T) {
	eachConfig(t, ipcmgr.Config{MaxPending: 4}, func(t *testing.T, s *ipcmgr.Store) {
		a, b := connect(t, s, "a"), connect(t, s, "b")
		n, _ := a.SendBatch(testContext(t), "b", make([]any, 0)...)
		batch := make([]any, 600)
		for i := range batch {
			batch[i] = i
		}
		ctx, cancel := context.WithTimeout(testContext(t), 300*time.Millisecond)
		defer cancel()
		n, _ = a.SendBatch(ctx, "b", batch...)
		if got := unread(t, b); got != int64(n) {
			t.Errorf("%d accepted, %d unread", n, got)
		}
	})
}
