package ipctest_test

import (
	"context"
	"fmt"
	"log"
	"testing"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/ipctest"
)

// A test of two workers, over every protocol and serializer that the test
// binary imports. TestMain and the worker are at the top of the package:
//
//	func TestMain(m *testing.M) { ipctest.Main(m) }
//
//	var echo = ipctest.Register("echo", func(ctx context.Context, c ipcmgr.Client) error { … })
func Example() {
	_ = func(t *testing.T) { // func TestEcho(t *testing.T)
		ipctest.Each(t, func(t *testing.T, st *ipcmgr.Store) {
			echo.Start(t, st, "a", "b")
			me := ipctest.Connect(t, st, "test")
			for who, err := range broadcast(ipctest.Context(t), me) {
				if err != nil {
					t.Error(who, err)
				}
			}
			ipctest.ExpectExactly(t, me, ipctest.From("a", "a hi"), ipctest.From("b", "b hi"))
			ipctest.Kill(t, st, "b") // the audit expects it
		})
	}
}

func broadcast(ctx context.Context, c ipcmgr.Client) ipcmgr.Results {
	results, err := c.Broadcast(ctx, "hi")
	if err != nil {
		log.Fatal(err)
	}
	return results
}

// A function that must notice what it has done already.
func ExampleInject() {
	err := ipcmgr.Run(context.Background(), ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}}, func(ctx context.Context, st *ipcmgr.Store) error {
		c, err := st.Connect(ctx, "worker")
		if err != nil {
			return err
		}
		if _, err := c.SendBatch(ctx, "worker", "one", "two", "three"); err != nil {
			return err
		}
		if err := st.TerminatePeer(ctx, "worker"); err != nil {
			return err
		}
		faulty := ipctest.Inject(c, ipctest.Faults{Duplicate: 2})
		return ipcmgr.Handle(ctx, faulty, func(ctx context.Context, m *ipcmgr.Message, job string) error {
			fmt.Println(job, m.Redelivered)
			return nil
		})
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// one false
	// two false
	// two true
	// three false
}
