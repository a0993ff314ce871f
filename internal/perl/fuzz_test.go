package perl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// FuzzName: a name on disk is one element, says whose it is, and what Perl keeps
// beside it belongs to nobody else.
func FuzzName(f *testing.F) {
	r := &Route{Dir: f.TempDir(), Max: 200}
	for _, id := range []string{"bob", "h-x", "a/b", "..", strings.Repeat("é", 120), "x.pid", "\x00", "a\\b"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		name, err := r.Name(id)
		if err != nil {
			t.Fatal(err)
		}
		if protocol.CheckID(id) != nil {
			return // never comes so far
		}
		if !mailbox(name) || len(name) > 200 || name != filepath.Base(name) || strings.ContainsAny(name, "/\\\x00") {
			t.Fatalf("%q gives the name %q", id, name)
		}
		for _, end := range endings {
			if of, ok := sidecar(name + end); !ok || of != name || mailbox(name+end) {
				t.Errorf("%q is not a file beside %q", name+end, name)
			}
		}
		dir, err := disk.Real.OpenDir(r.Dir)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		if name != id {
			put(t, r, name+".name", []byte(id))
		}
		if back, err := r.id(dir, name); err != nil || back != id {
			t.Errorf("%q gives %q, which is that of %q, %v", id, name, back, err)
		}
	})
}

// FuzzSidecars: whatever stands beside a mailbox, listing goes on, and gives
// only what may be a client.
func FuzzSidecars(f *testing.F) {
	r := &Route{Dir: f.TempDir(), Max: 200}
	hash, _ := r.Name("h-" + strings.Repeat("x", 250))
	for _, name := range []string{"bob", hash} {
		if err := os.Mkdir(filepath.Join(r.Dir, name), 0o700); err != nil {
			f.Fatal(err)
		}
	}
	f.Add([]byte("123\nipcmgr"), []byte(""), []byte(`{"read":{}}`), []byte("h-"))
	f.Add([]byte("-1"), []byte("1e400"), []byte("{"), []byte("../x"))
	f.Add([]byte("99999999999999999999"), []byte("nan"), []byte{0xff}, []byte{})
	f.Fuzz(func(t *testing.T, pid, suspend, stats, name []byte) {
		for _, d := range []string{"bob", hash} {
			put(t, r, d+".suspend", suspend)
			put(t, r, d+".stats", stats)
			put(t, r, d+".name", name)
			put(t, r, d+".pid", pid)
		}
		for range 2 { // with D.pid and without
			peers, err := r.Peers(nothing)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range peers {
				if protocol.CheckID(p.ID) != nil || p.PID < 0 || p.State == 0 {
					t.Errorf("lists %+v", p)
				}
			}
			if _, err := r.Stats(); err != nil {
				t.Fatal(err)
			}
			os.Remove(filepath.Join(r.Dir, "bob.pid"))
			os.Remove(filepath.Join(r.Dir, hash+".pid"))
		}
	})
}

func put(t *testing.T, r *Route, name string, content []byte) {
	if err := os.WriteFile(filepath.Join(r.Dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}
