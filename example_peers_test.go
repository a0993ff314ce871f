package ipcmgr_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/mem"
)

func ExampleStore_Connect() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)

	alice := must(st.Connect(ctx, "alice"))
	_, err := st.Connect(ctx, "alice")
	fmt.Println(alice.ID(), errors.Is(err, ipcmgr.ErrPeerActive))
	// Output: alice true
}

func ExampleStore_Reconnect() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	_, err := st.Reconnect(ctx, "worker")
	fmt.Println(errors.Is(err, ipcmgr.ErrNoPeer))

	worker := must(st.Connect(ctx, "worker"))
	check(worker.Suspend(ctx, time.Time{}))
	worker = must(st.Reconnect(ctx, "worker"))
	fmt.Println(worker.ID())
	// Output:
	// true
	// worker
}

// One who only has something to say needs no name.
func ExampleStore_ConnectAnonymous() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	worker := must(st.Connect(ctx, "worker"))

	anon := must(st.ConnectAnonymous(ctx))
	check(anon.Send(ctx, "worker", "hello"))
	check(anon.Disconnect(ctx, nil))

	m := must(worker.Receive(ctx))
	fmt.Println(m.From == anon.ID())
	check(m.Ack(ctx))
	fmt.Println(worker.Stats().Read) // all who are anonymous are counted as one
	// Output:
	// true
	// map[_cli:1]
}

// A supervised worker resumes: it takes up what it left when it was suspended
// or crashed, if it left anything.
func ExampleResume() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer st.Close() // its error is the audit's: a crashed client's counts are not known

	worker := must(st.Connect(ctx, "worker", ipcmgr.Resume())) // nothing there: a new one
	boss := must(st.Connect(ctx, "boss"))
	check(boss.Send(ctx, "worker", "job 1"))
	must(worker.Receive(ctx))
	check(mem.Crash(st.Info().Route, "worker")) // in the middle of it

	worker = must(st.Connect(ctx, "worker", ipcmgr.Resume()))
	m := must(worker.Receive(ctx))
	fmt.Println(m.From, "again:", m.Redelivered)
	// Output: boss again: true
}

// Fresh drops what was left. The audit shows it.
func ExampleFresh() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	worker := must(st.Connect(ctx, "worker"))
	check(worker.Send(ctx, "worker", "old"))
	check(worker.Suspend(ctx, time.Time{}))

	worker = must(st.Connect(ctx, "worker", ipcmgr.Fresh()))
	fmt.Println(len(must(worker.Poll(ctx, 1))), "messages")
	fmt.Println(must(st.Audit(ctx)).Err())
	check(st.Unspawn(ctx))
	// Output:
	// 0 messages
	// audit: "worker" to "worker": dropped: 1 sent, 0 read, 1 dropped
}

// While a client is suspended its mailbox takes messages.
func ExampleClient_Suspend() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice, bob := must(st.Connect(ctx, "alice")), must(st.Connect(ctx, "bob"))

	check(bob.Suspend(ctx, time.Now().Add(time.Hour))) // back within the hour
	check(alice.Send(ctx, "bob", "while you were away"))

	bob = must(st.Reconnect(ctx, "bob"))
	fmt.Println(ipcmgr.ReceiveAs[string](ctx, bob))
	// Output: while you were away <nil>
}

// The handler is given what the mailbox has accepted and nobody has read.
func ExampleClient_Disconnect() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice, bob := must(st.Connect(ctx, "alice")), must(st.Connect(ctx, "bob"))
	must(alice.SendBatch(ctx, "bob", "one", "two"))

	err := bob.Disconnect(ctx, func(m *ipcmgr.Message) error {
		var s string
		defer func() { fmt.Println(m.From, s) }()
		return m.Decode(&s)
	})
	fmt.Println(err)
	fmt.Println(errors.Is(alice.Send(ctx, "bob", "three"), ipcmgr.ErrNoPeer))
	// Output:
	// alice one
	// alice two
	// <nil>
	// true
}

// Without a handler, what is unread is dropped, and said to be.
func ExampleUnreadError() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	alice, bob := must(st.Connect(ctx, "alice")), must(st.Connect(ctx, "bob"))
	must(alice.SendBatch(ctx, "bob", "one", "two"))

	err := bob.Disconnect(ctx, nil)
	var unread *ipcmgr.UnreadError
	fmt.Println(errors.As(err, &unread), unread.Total(), unread.From)
	check(st.Unspawn(ctx))
	// Output: true 2 map[alice:2]
}

func ExampleStore_Peers() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	must(st.Connect(ctx, "alice"))
	check(must(st.Connect(ctx, "bob")).Suspend(ctx, time.Time{}))
	check(must(st.Connect(ctx, "carol")).Disconnect(ctx, nil)) // gone: not listed

	for _, p := range must(st.Peers(ctx)) {
		fmt.Println(p.ID, p.State)
	}
	// Output:
	// alice active
	// bob suspended
}

// Attributes are what a client says about itself.
func ExampleClient_SetAttrs() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	worker := must(st.Connect(ctx, "worker", ipcmgr.Attrs(map[string]string{"load": "0.1"})))

	check(worker.SetAttrs(ctx, map[string]string{"load": "0.7"}))
	p := must(st.Peer(ctx, "worker"))
	fmt.Println(p.Attrs["load"], worker.Attrs())
	// Output: 0.7 map[load:0.7]
}

func ExampleStore_Peer() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	must(st.Connect(ctx, "alice"))

	fmt.Println(must(st.Peer(ctx, "alice")).State)
	_, err := st.Peer(ctx, "bob")
	fmt.Println(errors.Is(err, ipcmgr.ErrNoPeer))
	// Output:
	// active
	// true
}

// WaitPeer is the barrier that replaces sleeping.
func ExampleStore_WaitPeer() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	var others sync.WaitGroup
	others.Go(func() { // as two other processes would
		must(st.Connect(ctx, "a"))
		must(st.Connect(ctx, "b"))
	})

	fmt.Println(st.WaitPeer(ctx, "a", "b"))
	others.Wait()
	// Output: <nil>
}

// Watch first tells who is there, and then what changes.
func ExampleStore_Watch() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice := must(st.Connect(ctx, "alice"))

	for p, err := range st.Watch(ctx) {
		check(err)
		fmt.Println(p.ID, p.State)
		if p.State == ipcmgr.Gone {
			break
		}
		check(alice.Disconnect(ctx, nil))
	}
	// Output:
	// alice active
	// alice gone
}

// Clients lists those of this process.
func ExampleStore_Clients() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	must(st.Connect(ctx, "bob"))
	must(st.Connect(ctx, "alice"))

	for _, c := range st.Clients() {
		fmt.Println(c.ID())
	}
	// Output:
	// alice
	// bob
}

// What a client says about itself is seen from the moment it is active.
func ExampleAttrs() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	must(st.Connect(ctx, "w1", ipcmgr.Attrs(map[string]string{"role": "worker"})))

	fmt.Println(must(st.Peer(ctx, "w1")).Attrs["role"])
	// Output: worker
}

// What a client has to tell and cannot return goes to a logger: here that it
// was sent what is no message.
func ExampleLogger() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer st.Close() // its error is the audit's: one more came than was sent
	text := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.LevelKey || a.Key == slog.MessageKey {
			return a
		}
		return slog.Attr{} // the time, and what it was
	}})
	alice := must(st.Connect(ctx, "alice", ipcmgr.Logger(slog.New(text))))

	raw := must(mem.Protocol{}.Open(ctx, st.Info().Route))
	mallory := must(raw.Connect(ctx, protocol.ConnectOptions{ID: "mallory"}))
	must(mallory.Deliver(ctx, "alice", []protocol.Frame{{ID: []byte("x"), Data: []byte("{no message")}}, true))
	check(mallory.Leave(ctx, protocol.Departure{}))
	check(raw.Close())
	must(alice.Poll(ctx, 1))
	// Output: level=WARN msg="ipcmgr: corrupt message"
}
