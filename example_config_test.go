package ipcmgr_test

import (
	"context"
	"fmt"
	"os"

	"github.com/ipcmgr/ipcmgr"
)

// A configuration file chooses; the program stays as it is. The first protocol
// of the list that works on this machine is taken.
func ExampleParseConfig() {
	cfg, err := ipcmgr.ParseConfig([]byte(`{"protocol": ["mem"], "serializer": "msgpack", "max_pending": 100}`))
	fmt.Println(cfg.Protocol, cfg.Serializer, cfg.MaxPending, err)
	// Output: [mem] msgpack 100 <nil>
}

func ExampleConfigFromEnv() {
	check(os.Setenv(ipcmgr.EnvProtocol, "mem"))
	check(os.Setenv(ipcmgr.EnvSerializer, "msgpack"))
	defer os.Unsetenv(ipcmgr.EnvProtocol)
	defer os.Unsetenv(ipcmgr.EnvSerializer)

	cfg, err := ipcmgr.ConfigFromEnv()
	fmt.Println(cfg.Protocol, cfg.Serializer, err)
	// Output: [mem] msgpack <nil>
}

func ExampleConfig_Validate() {
	cfg := ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, MaxPending: -1}
	fmt.Println(cfg.Validate())
	// Output: bad configuration: max_pending is -1: it must be positive, or 0 for 65536
}

func ExampleParseInfo() {
	i, err := ipcmgr.ParseInfo("fsqueue+json:///var/lib/app/store")
	fmt.Println(i.Protocol, i.Serializer, i.Route, err)

	i, err = ipcmgr.ParseInfo(`["MessageFiles", "JSON", "/var/lib/app/store"]`) // from a Perl program
	fmt.Println(i, i.Foreign, err)
	// Output:
	// fsqueue json /var/lib/app/store <nil>
	// fsqueue+json:///var/lib/app/store true <nil>
}

func ExampleInfo_Perl() {
	i := ipcmgr.Info{Protocol: "fsqueue", Serializer: "json", Route: "/var/lib/app/store"}
	fmt.Println(i.Perl())
	// Output: ["IPC::Manager::Client::MessageFiles","IPC::Manager::Serializer::JSON","/var/lib/app/store"] <nil>
}

// An info may hold a password; a log should not.
func ExampleInfo_Redacted() {
	i := ipcmgr.Info{Protocol: "server", Serializer: "json", Route: "server://app:secret@host/store"}
	fmt.Println(i.Redacted())
	// Output: server+json://app:xxxxx@host/store
}

// What the info says is all that another process needs. It travels in the
// environment variable IPCMGR_STORE, a flag, or a file.
func ExampleStore_Info() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Serializer: "msgpack", Route: "post"}))
	defer closeStore(st)

	fmt.Println(st.Info())
	// Output: mem+msgpack:post
}

// Features says what the store's protocol promises.
func ExampleStore_Features() {
	ctx := context.Background()
	st := must(ipcmgr.Spawn(ctx, memory))
	defer closeStore(st)

	f := st.Features()
	fmt.Println("suspends:", f.Suspends, "redelivers:", f.Redelivers, "syncs:", f.Syncs)
	fmt.Println("this store syncs:", st.Sync(), "largest message:", st.MaxMessage())
	// Output:
	// suspends: true redelivers: true syncs: false
	// this store syncs: false largest message: 16777216
}
