package ipcmgr_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// Shutdown ends a store step by step. Each step is a method of its own too.
func ExampleStore_Shutdown() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	other := must(ipcmgr.Open(ctx, st.Info().String()))
	must(other.Connect(ctx, "alice"))

	fmt.Println("by another:", errors.Is(other.Shutdown(ctx), ipcmgr.ErrNotOwner))
	check(other.Close())
	fmt.Println(st.Shutdown(ctx))
	// Output:
	// by another: true
	// <nil>
}

// Terminate asks the clients to end. Wait blocks until they have left.
func ExampleStore_Terminate() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	worker := must(st.Connect(ctx, "worker"))
	go func() {
		for _, err := range worker.Messages(ctx) { // ends when it is asked to
			check(err)
		}
		check(worker.Disconnect(ctx, nil))
	}()

	check(st.Terminate(ctx))
	fmt.Println(st.Wait(ctx))
	// Output: <nil>
}

// When the context ends before all have left, the error names those that stay.
func ExampleStore_Wait() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	must(st.Connect(ctx, "busy"))

	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	err := st.Wait(short)
	fmt.Println(errors.Is(err, context.DeadlineExceeded), strings.Contains(err.Error(), `"busy" (pid `))
	// Output: true true
}

// After End the store takes no more clients.
func ExampleStore_End() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	must(st.Connect(ctx, "early"))

	check(st.End(ctx))
	_, err := st.Connect(ctx, "late")
	fmt.Println(errors.Is(err, ipcmgr.ErrEnding))
	// Output: true
}

// Signal sends the configured signal to the processes of the clients. There is
// none here but this one, which it spares.
func ExampleStore_Signal() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Signal: "USR1"}))
	defer closeStore(st)

	fmt.Println(st.Signal(ctx))
	// Output: <nil>
}

func ExampleStore_DisconnectClients() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	must(st.Connect(ctx, "alice"))
	must(st.Connect(ctx, "bob"))

	fmt.Println(st.DisconnectClients(ctx), len(st.Clients()))
	// Output: <nil> 0
}

// The audit compares what was sent with what became of it, pair by pair.
func ExampleStore_Audit() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice, bob := must(st.Connect(ctx, "alice")), must(st.Connect(ctx, "bob"))
	must(alice.SendBatch(ctx, "bob", "one", "two", "three"))
	check(must(bob.Receive(ctx)).Ack(ctx))

	audit := must(st.Audit(ctx))
	for _, p := range audit.Pairs {
		fmt.Println(p.String())
	}
	fmt.Println(audit.Err()) // unread is no failure: the rest is still there

	must(bob.Poll(ctx, 2))
	// Output:
	// "alice" to "bob": unread: 3 sent, 1 read
	// <nil>
}

func ExampleAuditError() {
	err := ipcmgr.Run(context.Background(), memory, func(ctx context.Context, st *ipcmgr.Store) error {
		alice := must(st.Connect(ctx, "alice"))
		return alice.Send(ctx, "alice", "never read")
	})
	var failed *ipcmgr.AuditError
	if errors.As(err, &failed) {
		for _, p := range failed.Pairs {
			fmt.Println(p.From, p.To, p.Verdict, p.Dropped)
		}
	}
	// Output: alice alice dropped 1
}

// Stats gives the counts of all clients, present or gone, as each last wrote
// them.
func ExampleStore_Stats() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice := must(st.Connect(ctx, "alice"))
	check(alice.Send(ctx, "alice", "hello"))
	must(alice.Receive(ctx))
	check(alice.Disconnect(ctx, nil)) // writes them

	all := must(st.Stats(ctx))
	fmt.Println(all["alice"].Sent, all["alice"].Read)
	// Output: map[alice:1] map[alice:1]
}

// A long-lived client writes its counts now and then, so that who looks at the
// store from outside sees them.
func ExampleClient_WriteStats() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	alice, bob := must(st.Connect(ctx, "alice")), must(st.Connect(ctx, "bob"))
	check(alice.Send(ctx, "bob", "hello"))
	fmt.Println(alice.Stats().Sent) // its own are always there

	check(alice.WriteStats(ctx))
	fmt.Println(must(st.Stats(ctx))["alice"].Sent)

	must(bob.Receive(ctx))
	// Output:
	// map[bob:1]
	// map[bob:1]
}

// TerminatePeer asks one client to end, and leaves the others alone.
func ExampleStore_TerminatePeer() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	one, two := must(st.Connect(ctx, "one")), must(st.Connect(ctx, "two"))

	check(st.TerminatePeer(ctx, "one"))
	_, err := one.Receive(ctx)
	fmt.Println(errors.Is(err, ipcmgr.ErrTerminated))
	fmt.Println(len(must(two.Poll(ctx, 1))))

	err = st.TerminatePeer(ctx, "nobody")
	fmt.Println(errors.Is(err, ipcmgr.ErrNoPeer))
	// Output:
	// true
	// 0
	// true
}

// The owner's Close shuts the store down. That of another handle drops the
// handle; clients that were connected through it stay.
func ExampleStore_Close() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	other := must(ipcmgr.Open(ctx, st.Info().String()))
	alice := must(other.Connect(ctx, "alice"))

	check(other.Close())
	fmt.Println(alice.Send(ctx, "alice", "still here"))
	must(alice.Receive(ctx))

	check(st.Close())
	fmt.Println(errors.Is(alice.Send(ctx, "alice", "and now?"), ipcmgr.ErrClosed))
	// Output:
	// <nil>
	// true
}
