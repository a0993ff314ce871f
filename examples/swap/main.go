// Swap prints the same whatever store its messages go through. The store is
// chosen by a configuration file, or without one by the environment:
//
//	echo '{"protocol": ["unixsocket", "fsqueue"], "serializer": "msgpack"}' > store.json
//	go run ./examples/swap store.json
//	IPCMGR_PROTOCOL=bbolt go run ./examples/swap
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/ipcmgr/ipcmgr"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
)

func main() {
	cfg, err := configuration(os.Args[1:])
	if err == nil {
		err = ipcmgr.Run(context.Background(), cfg, run)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "swap:", err)
		os.Exit(1)
	}
}

func configuration(args []string) (ipcmgr.Config, error) {
	if len(args) == 0 {
		return ipcmgr.ConfigFromEnv()
	}
	data, err := os.ReadFile(args[0])
	if err != nil {
		return ipcmgr.Config{}, err
	}
	return ipcmgr.ParseConfig(data)
}

// order is what the messages carry.
type order struct {
	Item  string  `json:"item"`
	Price float64 `json:"price"`
	Photo []byte  `json:"photo"`
}

func run(ctx context.Context, st *ipcmgr.Store) error {
	shop, err := st.Connect(ctx, "shop")
	if err != nil {
		return err
	}
	customer, err := st.Connect(ctx, "customer")
	if err != nil {
		return err
	}
	accepted, err := customer.SendBatch(ctx, "shop",
		order{"tea", 2.5, []byte{0xff, 0x00}},
		order{"cake", 3.75, []byte("crumbs")},
	)
	if err != nil {
		return err
	}
	for range accepted {
		o, err := ipcmgr.ReceiveAs[order](ctx, shop)
		if err != nil {
			return err
		}
		fmt.Printf("%s at %.2f with %d bytes of photo\n", o.Item, o.Price, len(o.Photo))
	}
	return nil
}
