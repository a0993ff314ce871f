package ipcmgr_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/mem"
)

func ExampleClient_Receive() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice, bob := must(st.Connect(ctx, "alice")), must(st.Connect(ctx, "bob"))
	must(alice.SendBatch(ctx, "bob", "one", "two"))

	one := must(bob.Receive(ctx))
	must(bob.Receive(ctx)) // acknowledges the one before
	fmt.Println(errors.Is(one.Decode(new(string)), ipcmgr.ErrAcknowledged))

	check(st.Terminate(ctx))
	_, err := bob.Receive(ctx)
	fmt.Println(errors.Is(err, ipcmgr.ErrTerminated))
	// Output:
	// true
	// true
}

// The loop acknowledges each message when it asks for the next, and ends when
// the store's owner asks to terminate.
func ExampleClient_Messages() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice, bob := must(st.Connect(ctx, "alice")), must(st.Connect(ctx, "bob"))
	must(alice.SendBatch(ctx, "bob", "one", "two"))
	check(st.Terminate(ctx))

	for m, err := range bob.Messages(ctx) {
		check(err)
		var s string
		check(m.Decode(&s))
		fmt.Println(m.From, s)
	}
	// Output:
	// alice one
	// alice two
}

// Poll does not wait.
func ExampleClient_Poll() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice := must(st.Connect(ctx, "alice"))
	must(alice.SendBatch(ctx, "alice", 1, 2, 3))

	fmt.Println(len(must(alice.Poll(ctx, 2))))
	fmt.Println(len(must(alice.Poll(ctx, 2))))
	fmt.Println(len(must(alice.Poll(ctx, 2))))
	// Output:
	// 2
	// 1
	// 0
}

// Handle acknowledges what was handled, puts back what was not, and sets aside
// what is of another type.
func ExampleHandle() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice := must(st.Connect(ctx, "alice"))
	must(alice.SendBatch(ctx, "alice", 1, "two", 3))
	check(st.Terminate(ctx))

	err := ipcmgr.Handle(ctx, alice, func(ctx context.Context, m *ipcmgr.Message, n int) error {
		fmt.Println(n)
		return nil
	})
	fmt.Println(err, alice.Stats().Rejected)
	// Output:
	// 1
	// 3
	// <nil> map[alice:1]
}

func ExampleReceiveAs() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice := must(st.Connect(ctx, "alice"))
	type job struct {
		Path string `json:"path"`
	}
	check(alice.Send(ctx, "alice", job{Path: "/tmp/x"}))

	j, err := ipcmgr.ReceiveAs[job](ctx, alice)
	fmt.Println(j.Path, err)
	// Output: /tmp/x <nil>
}

// With ManualAck nothing is acknowledged but by Ack, in any order. What is not
// acknowledged comes again to who takes up a client that crashed.
func ExampleManualAck() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer st.Close() // its error is the audit's: a crashed client's counts are not known
	worker := must(st.Connect(ctx, "worker", ipcmgr.ManualAck()))
	must(worker.SendBatch(ctx, "worker", "one", "two"))

	must(worker.Receive(ctx))
	two := must(worker.Receive(ctx))
	check(two.Ack(ctx))
	check(mem.Crash(st.Info().Route, "worker")) // as SIGKILL would

	worker = must(st.Reconnect(ctx, "worker"))
	m := must(worker.Receive(ctx))
	var s string
	fmt.Println(m.Decode(&s), s, m.Redelivered)
	// Output: <nil> one true
}

func ExampleMessage_Ack() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice := must(st.Connect(ctx, "alice"))
	check(alice.Send(ctx, "alice", "done"))

	m := must(alice.Receive(ctx))
	fmt.Println(m.Ack(ctx)) // on record when it returns
	fmt.Println(errors.Is(m.Ack(ctx), ipcmgr.ErrAcknowledged))
	// Output:
	// <nil>
	// true
}

// Requeue puts a message back: it is the next one again.
func ExampleMessage_Requeue() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice := must(st.Connect(ctx, "alice"))
	must(alice.SendBatch(ctx, "alice", "one", "two"))

	check(must(alice.Receive(ctx)).Requeue())
	for m, err := range alice.Messages(ctx) {
		check(err)
		var s string
		check(m.Decode(&s))
		fmt.Println(s, m.Redelivered)
		if s == "two" {
			break
		}
	}
	// Output:
	// one true
	// two false
}

// Reject sets a message aside, so that it does not make a worker fail again and
// again.
func ExampleMessage_Reject() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice := must(st.Connect(ctx, "alice"))
	check(alice.Send(ctx, "alice", "poison"))

	m := must(alice.Receive(ctx))
	check(m.Reject(ctx, errors.New("the parser panics on it")))
	for _, r := range must(mem.Rejected(st.Info().Route)) {
		fmt.Println(r.From, r.Reason)
	}
	// Output: alice the parser panics on it
}

// What Decode stores is a copy. A []byte with room is reused.
func ExampleMessage_Decode() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice := must(st.Connect(ctx, "alice"))
	must(alice.SendBatch(ctx, "alice", []byte("raw"), map[string]any{"n": 1}))

	buffer := make([]byte, 0, 1<<10)
	check(must(alice.Receive(ctx)).Decode(&buffer))
	fmt.Println(string(buffer))

	var anything any
	check(must(alice.Receive(ctx)).Decode(&anything))
	fmt.Println(anything)
	// Output:
	// raw
	// map[n:1]
}

// A message is there until it is acknowledged. Keep gives one that stays.
func ExampleMessage_Keep() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice := must(st.Connect(ctx, "alice"))
	check(alice.Send(ctx, "alice", "remember me"))

	m := must(alice.Receive(ctx))
	kept := must(m.Keep())
	check(m.Ack(ctx))

	var s string
	fmt.Println(errors.Is(m.Decode(&s), ipcmgr.ErrAcknowledged))
	fmt.Println(kept.Decode(&s), s)
	// Output:
	// true
	// <nil> remember me
}

// Whoever may write to the store can put something into a mailbox that is no
// message. It never gets into the loop.
func ExampleOnCorrupt() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer st.Close() // its error is the audit's: one more came than was sent
	alice := must(st.Connect(ctx, "alice", ipcmgr.OnCorrupt(func(e *ipcmgr.CorruptError) {
		fmt.Printf("%d bytes from %s set aside\n", e.Size, e.From)
	})))

	raw := must(mem.Protocol{}.Open(ctx, st.Info().Route))
	mallory := must(raw.Connect(ctx, protocol.ConnectOptions{ID: "mallory"}))
	must(mallory.Deliver(ctx, "alice", []protocol.Frame{{ID: []byte("x"), Data: []byte("{no message")}}, true))
	check(mallory.Leave(ctx, protocol.Departure{}))
	check(raw.Close())

	check(alice.Send(ctx, "alice", "the next one"))
	fmt.Println(ipcmgr.ReceiveAs[string](ctx, alice))
	// Output:
	// 11 bytes from mallory set aside
	// the next one <nil>
}

// Next leaves acknowledging to the program: a message may be passed on to
// another goroutine, and be settled there.
func ExampleClient_Next() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice := must(st.Connect(ctx, "alice"))
	must(alice.SendBatch(ctx, "alice", "one", "two"))

	jobs, done := make(chan *ipcmgr.Message), make(chan error)
	go func() {
		for m := range jobs {
			done <- m.Ack(ctx)
		}
	}()
	one := must(alice.Next(ctx))
	two := must(alice.Next(ctx)) // the first one is still there
	jobs <- two
	fmt.Println(<-done, alice.Stats().Read)
	jobs <- one
	fmt.Println(<-done, alice.Stats().Read)
	close(jobs)
	// Output:
	// <nil> map[alice:1]
	// <nil> map[alice:2]
}

// TryNext does not wait.
func ExampleClient_TryNext() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice := must(st.Connect(ctx, "alice"))
	check(alice.Send(ctx, "alice", "hello"))

	m := must(alice.TryNext(ctx))
	fmt.Println(m.From, m.Ack(ctx))
	m = must(alice.TryNext(ctx))
	fmt.Println(m == nil)
	// Output:
	// alice <nil>
	// true
}

// A worker that suspends without knowing how far it came puts back all that it
// has in hand.
func ExampleClient_RequeueAll() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	worker := must(st.Connect(ctx, "worker", ipcmgr.ManualAck()))
	must(worker.SendBatch(ctx, "worker", "one", "two"))
	must(worker.Receive(ctx))
	must(worker.Receive(ctx))

	check(worker.RequeueAll())
	check(worker.Suspend(ctx, time.Time{}))

	worker = must(st.Reconnect(ctx, "worker"))
	fmt.Println(ipcmgr.ReceiveAs[string](ctx, worker))
	fmt.Println(ipcmgr.ReceiveAs[string](ctx, worker))
	// Output:
	// one <nil>
	// two <nil>
}
