package ipcmgr_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ipcmgr/ipcmgr"
)

// Send returns when the message is in the receiver's mailbox. Its content is
// anything that encoding/json could write.
func ExampleClient_Send() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice, bob := must(st.Connect(ctx, "alice")), must(st.Connect(ctx, "bob"))

	check(alice.Send(ctx, "bob", map[string]int{"n": 42}))
	fmt.Println(errors.Is(alice.Send(ctx, "carol", "?"), ipcmgr.ErrNoPeer))

	m := must(bob.Receive(ctx))
	var content struct{ N int }
	fmt.Println(m.From, m.Decode(&content), content.N)
	// Output:
	// true
	// alice <nil> 42
}

// TrySend does not wait for room.
func ExampleClient_TrySend() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, MaxPending: 1}))
	defer closeStore(st)
	alice, bob := must(st.Connect(ctx, "alice")), must(st.Connect(ctx, "bob"))

	check(alice.TrySend(ctx, "bob", "one"))
	err := alice.TrySend(ctx, "bob", "two")
	fmt.Println("full:", errors.Is(err, ipcmgr.ErrFull))

	m := must(bob.Receive(ctx))
	check(m.Ack(ctx)) // room is made by acknowledging, not by receiving
	fmt.Println(alice.TrySend(ctx, "bob", "two"))
	check(must(bob.Receive(ctx)).Ack(ctx))
	// Output:
	// full: true
	// <nil>
}

// SendBatch is one operation, whatever the number of messages: one file, one
// transaction, one write.
func ExampleClient_SendBatch() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice, bob := must(st.Connect(ctx, "alice")), must(st.Connect(ctx, "bob"))

	accepted, err := alice.SendBatch(ctx, "bob", "one", "two", "three")
	fmt.Println(accepted, err)
	for range accepted {
		fmt.Println(ipcmgr.ReceiveAs[string](ctx, bob))
	}
	// Output:
	// 3 <nil>
	// one <nil>
	// two <nil>
	// three <nil>
}

func ExampleClient_Broadcast() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice, bob := must(st.Connect(ctx, "alice")), must(st.Connect(ctx, "bob"))
	carol := must(st.Connect(ctx, "carol"))

	results := must(alice.Broadcast(ctx, "hello"))
	fmt.Println(slices.Sorted(maps.Keys(results)), results.Err())
	for _, c := range []ipcmgr.Client{bob, carol} {
		m := must(c.Receive(ctx))
		fmt.Println(c.ID(), m.Broadcast)
	}
	// Output:
	// [bob carol] <nil>
	// bob true
	// carol true
}

// Results says what became of a broadcast at each peer.
func ExampleResults_Err() {
	results := ipcmgr.Results{"bob": nil, "carol": ipcmgr.ErrPeerGone}
	fmt.Println(results.Err())
	// Output: peer is gone
}

// Headers carry what is not content, such as a trace.
func ExampleNewMessage() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice := must(st.Connect(ctx, "alice"))

	m := ipcmgr.NewMessage("hello")
	m.ID = "greeting-1"
	m.Headers = map[string]string{"trace": "4bf92f35"}
	check(alice.Send(ctx, "alice", m))

	got := must(alice.Receive(ctx))
	fmt.Println(got.ID, got.Headers["trace"])
	fmt.Println(got)
	// Output:
	// greeting-1 4bf92f35
	// message greeting-1 from "alice" to "alice"
}

// With answers in the same conversation: the id and the headers stay.
func ExampleMessage_With() {
	question := ipcmgr.NewMessage("how are you?")
	question.ID = "talk-1"
	question.Headers = map[string]string{"trace": "4bf92f35"}

	answer := question.With("fine")
	fmt.Println(answer.ID, answer.Headers)
	// Output: talk-1 map[trace:4bf92f35]
}

// Clone is for sending a message on as one of its own. The content is not
// decoded on the way.
func ExampleMessage_Clone() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice, bob := must(st.Connect(ctx, "alice")), must(st.Connect(ctx, "bob"))

	check(alice.Send(ctx, "alice", "for bob"))
	m := must(alice.Receive(ctx))
	copied := must(m.Clone())
	check(alice.Send(ctx, "bob", copied))
	fmt.Println("another id:", copied.ID != m.ID)
	fmt.Println(ipcmgr.ReceiveAs[string](ctx, bob))
	// Output:
	// another id: true
	// for bob <nil>
}

func ExampleMessage_IsTerminate() {
	fmt.Println(ipcmgr.NewMessage(map[string]any{"terminate": true}).IsTerminate())
	fmt.Println(ipcmgr.NewMessage("terminate").IsTerminate())
	// Output:
	// true
	// false
}
