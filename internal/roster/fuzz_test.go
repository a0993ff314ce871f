package roster

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// FuzzKey: the file name for an id is one element, fits every file system, is
// not hidden, and two ids never share one.
func FuzzKey(f *testing.F) {
	for _, id := range []string{"bob", "..", "a/b", "h-x", "CON", "com1.txt", "x ", "x.", "\x00", "é"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		key := Key(id)
		if key == "" || key[0] == '.' || len(key) > maxKey || filepath.Base(key) != key || strings.ContainsAny(key, "/\\\x00") {
			t.Fatalf("%q gives the key %q", id, key)
		}
		if hashed := strings.HasPrefix(key, "h-"); !hashed && key != id {
			t.Errorf("%q gives the key %q of another id", id, key)
		}
		if Key(key) == key && key != id {
			t.Errorf("%q and %q share a key", id, key)
		}
	})
}

// FuzzStore: what anyone left as the files "store" and "owner" gives an error
// or settings that can be used.
func FuzzStore(f *testing.F) {
	dir := f.TempDir()
	dot, err := disk.Real.OpenDir(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { dot.Close() })
	good, _ := json.Marshal(head{Version: version, Protocol: "test", Settings: protocol.Settings{Serializer: "json", MaxFrame: 1}})
	f.Add(good)
	f.Add([]byte(`{"version":1,"protocol":"test","settings":{"max_bytes":-1}}`))
	f.Add([]byte(`{"pid":1,"start":2,"token":"../../x","handle":""}`))
	f.Add([]byte(strings.Repeat("[", 100_000)))
	r := &Roster{kind: &Kind{Protocol: "test"}, dot: dot}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{"store", "owner"} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		h, err := r.kind.readHead(dot)
		if err == nil && (h.Settings.MaxFrame < 0 || h.Settings.MaxPending < 0 || h.Settings.MaxBytes < 0) {
			t.Errorf("settings %+v", h.Settings)
		}
		o, err := r.owner()
		if err != nil {
			t.Fatal(err)
		}
		if o != nil && filepath.Base(o.Token) != o.Token {
			t.Errorf("the token %q leads elsewhere", o.Token)
		}
	})
}
