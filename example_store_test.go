package ipcmgr_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

func ExampleSpawn() {
	ctx := context.Background()
	st, err := ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Route: "post"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Route: "post"})
	fmt.Println("a second one:", errors.Is(err, ipcmgr.ErrStoreExists))

	fmt.Println(st.Close()) // the owner's Close shuts the store down
	// Output:
	// a second one: true
	// <nil>
}

// Run spawns a store and shuts it down at the end. Its error tells of both, and
// of the audit: here a message that nobody has read.
func ExampleRun() {
	err := ipcmgr.Run(context.Background(), memory, func(ctx context.Context, st *ipcmgr.Store) error {
		alice, err := st.Connect(ctx, "alice")
		if err != nil {
			return err
		}
		return alice.Send(ctx, "alice", "a note to myself")
	})
	var failed *ipcmgr.AuditError
	if errors.As(err, &failed) {
		fmt.Println(failed)
	}
	// Output: audit: "alice" to "alice": dropped: 1 sent, 0 read, 1 dropped
}

// A store with a route outlives its owner. The next run takes over what the
// last one left.
func ExampleAdopt() {
	ctx := context.Background()
	cfg := ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Route: "jobs"}

	first := must(ipcmgr.Adopt(ctx, cfg)) // there is none: spawned
	_, err := ipcmgr.Adopt(ctx, cfg)
	fmt.Println("while it has an owner:", errors.Is(err, ipcmgr.ErrOwned))
	worker := must(first.Connect(ctx, "worker"))
	check(worker.Send(ctx, "worker", "job 1"))
	check(worker.Suspend(ctx, time.Time{}))
	check(first.Detach(ctx))
	check(first.Close())

	second := must(ipcmgr.Adopt(ctx, cfg))
	defer closeStore(second)
	worker = must(second.Reconnect(ctx, "worker"))
	fmt.Println(ipcmgr.ReceiveAs[string](ctx, worker))
	// Output:
	// while it has an owner: true
	// job 1 <nil>
}

func ExampleOpen() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	info := st.Info().String()

	other := must(ipcmgr.Open(ctx, info))
	fmt.Println("owned:", st.Owned(), other.Owned())
	check(other.Close()) // drops the handle, and nothing else
	check(st.Close())

	_, err := ipcmgr.Open(ctx, info)
	fmt.Println("gone:", errors.Is(err, ipcmgr.ErrNoStore))
	// Output:
	// owned: true false
	// gone: true
}

// A child process finds the store of its parent in the environment.
func ExampleOpen_environment() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)
	check(os.Setenv(ipcmgr.EnvStore, st.Info().String())) // the parent's part: cmd.Env
	defer os.Unsetenv(ipcmgr.EnvStore)

	child := must(ipcmgr.Open(ctx, ""))
	defer closeStore(child)
	fmt.Println(child.Info() == st.Info())
	// Output: true
}

func ExampleOpenConfig() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Serializer: "msgpack", Route: "post"}))
	defer closeStore(st)

	// The serializer is the one that the store has recorded.
	same := must(ipcmgr.OpenConfig(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Route: "post"}))
	defer closeStore(same)
	fmt.Println(same.Info())
	// Output: mem+msgpack:post
}

// Collect removes the temporary stores that killed programs left behind.
func ExampleCollect() {
	defer inOwnPlace()()
	gone, err := ipcmgr.Collect(context.Background())
	for _, route := range gone {
		log.Println("removed", route)
	}
	fmt.Println(err)
	// Output: <nil>
}

func ExampleStore_Detach() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Route: "stays"}))
	check(st.Detach(ctx))
	fmt.Println("owned:", st.Owned())
	check(st.Close())

	later := must(ipcmgr.Adopt(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Route: "stays"}))
	fmt.Println("owned:", later.Owned())
	check(later.Close())
	// Output:
	// owned: false
	// owned: true
}

// Seize takes a store from an owner that is alive: for the person who removes
// it.
func ExampleStore_Seize() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	other := must(ipcmgr.Open(ctx, st.Info().String()))

	check(other.Seize(ctx))
	fmt.Println("owned:", st.Owned(), other.Owned())
	check(other.Close())
	check(st.Close())
	// Output: owned: false true
}

func ExampleStore_Unspawn() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	other := must(ipcmgr.Open(ctx, st.Info().String()))
	fmt.Println("by another:", errors.Is(other.Unspawn(ctx), ipcmgr.ErrNotOwner))

	check(st.Unspawn(ctx)) // at once, whoever is connected; Shutdown is the gentle way
	_, err := other.Peers(ctx)
	fmt.Println("gone:", errors.Is(err, ipcmgr.ErrNoStore))
	check(other.Close())
	check(st.Close())
	// Output:
	// by another: true
	// gone: true
}
