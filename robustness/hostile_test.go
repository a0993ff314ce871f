package robustness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// attack is one hostile message.
type attack struct {
	name string
	data []byte
}

// hostile are frames that are no messages.
func hostile(w *world) []attack {
	whole := w.envelope("mallory", "b", "content")
	const deep = 100_000
	attacks := []attack{
		{"empty", nil},
		{"cut", whole[:len(whole)-1]},
		{"begun", whole[:1]},
		{"doubled", append(append([]byte{}, whole...), whole...)},
		{"with a tail", append(append([]byte{}, whole...), 0)},
		{"text", []byte("GET / HTTP/1.1\r\n\r\n")},
		{"zeros", make([]byte, 1<<16)},
		{"all ones", bytes.Repeat([]byte{0xff}, 1<<16)},
		{"from one with a bad name", w.envelope("../x", "b", 1)},
	}
	if w.serializer().Name() == "json" {
		message := func(content string) []byte {
			return []byte(`{"id":"X","from":"mallory","to":"b","stamp":1,"stamp_ord":0,"content":` + content + `}`)
		}
		return append(attacks, []attack{
			{"nested arrays", message(strings.Repeat("[", deep) + strings.Repeat("]", deep))},
			{"nested objects", message(strings.Repeat(`{"a":`, deep) + "1" + strings.Repeat("}", deep))},
			{"open brackets", bytes.Repeat([]byte("["), 1<<20)},
			{"null content", message("null")},
			{"from is a list", []byte(`{"id":"X","from":["mallory"],"to":"b","content":1}`)},
			{"headers are a list", []byte(`{"id":"X","from":"mallory","to":"b","headers":["a"],"content":1}`)},
			{"the time is text", []byte(`{"id":"X","from":"mallory","to":"b","stamp":"now","content":1}`)},
			{"from twice", []byte(`{"id":"X","from":"a","from":"mallory","to":"b","content":1}`)},
			{"not UTF-8", message("\"\xff\xfe\"")},
			{"half a surrogate", message(`"\ud800"`)},
			{"an endless number", message(strings.Repeat("9", 1<<20))},
			{"an array", []byte(`[1,2,3]`)},
		}...)
	}
	// A message is an array of six and more; what follows the first byte is
	// what each header announces.
	announce := func(head ...byte) []byte { return append(head, 0xff, 0xff, 0xff, 0xff) }
	return append(attacks, []attack{
		{"nested arrays", bytes.Repeat([]byte{0x91}, deep)},
		{"nested maps", bytes.Repeat([]byte{0x81}, deep)},
		{"an array of 4 Gi", announce(0xdd)},
		{"a map of 4 Gi", announce(0xdf)},
		{"a string of 4 Gi", announce(0x96, 0xdb)},
		{"bytes of 4 Gi", announce(0x96, 0xc6)},
		{"content of 4 Gi", append(whole[:len(whole)-len("content")-1:len(whole)-len("content")-1], announce(0xdd)...)},
		{"nested content", append(whole[:len(whole)-len("content")-1:len(whole)-len("content")-1], bytes.Repeat([]byte{0x91}, deep)...)},
		{"nil content", append(whole[:len(whole)-len("content")-1:len(whole)-len("content")-1], 0xc0)},
	}...)
}

// Whatever a client writes into another's mailbox, the good messages of others
// and its own get through, in order; the bad ones are named, counted and set
// aside; and reading them costs no more than their size.
func TestHostileMessages(t *testing.T) {
	for _, ser := range []string{"json", "msgpack"} {
		t.Run(ser, func(t *testing.T) {
			over(t, everywhere, ipcmgr.Config{Serializer: ser, MaxMessage: 2 << 20}, hostileMessages)
		})
	}
}

func hostileMessages(w *world) {
	var reasons []error
	b := w.connect("b", ipcmgr.OnCorrupt(func(e *ipcmgr.CorruptError) { reasons = append(reasons, e) }))
	a, mallory := w.connect("a"), w.raw("mallory")
	attacks := hostile(w)
	bad, good := 0, 0
	size := 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 3 {
		for _, x := range attacks {
			frames := []protocol.Frame{
				{ID: []byte("same"), Data: w.envelope("mallory", "b", x.name)},
				{ID: []byte("same"), Data: x.data},
				{ID: []byte("same"), Data: w.envelope("mallory", "b", x.name)}, // the same id again
			}
			n, err := mallory.Deliver(w.ctx, "b", frames, true)
			require.NoError(w, err, x.name)
			require.Equal(w, 3, n)
			w.send(a, "b", "from a friend")
			bad, good, size = bad+1, good+2, size+len(x.data)
			got := map[string]int{}
			for range 3 {
				m, err := b.Receive(w.ctx)
				require.NoError(w, err)
				var text string
				require.NoError(w, m.Decode(&text))
				got[m.From+" "+text]++
			}
			require.Equal(w, map[string]int{"mallory " + x.name: 2, "a from a friend": 1}, got, x.name)
			require.Len(w, reasons, bad, x.name)
		}
	}
	runtime.ReadMemStats(&after)
	require.Less(w, after.TotalAlloc-before.TotalAlloc, uint64(20*size+64<<20), "allocated for %d bytes", size)
	for _, err := range reasons {
		require.ErrorContains(w, err, `in the mailbox of "b" was set aside`)
	}
	w.leave(b)
	if w.protocol() == "mem" {
		return
	}
	kept, err := os.ReadDir(w.dot("corrupt", "b"))
	require.NoError(w, err)
	require.Len(w, kept, 2*bad, "each with its reason")
}

// However much rubbish comes, what is kept of it is bounded, and so is the
// memory that passing it over takes.
func TestRubbishIsBounded(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{MaxMessage: 1 << 20, MaxBytes: 8 << 20}, func(w *world) {
		var told atomic.Int64
		b := w.connect("b", ipcmgr.OnCorrupt(func(*ipcmgr.CorruptError) { told.Add(1) }), ipcmgr.Logger(silent))
		mallory := w.raw("mallory")
		// There may be as little memory as what is kept at most, so nearly all of
		// that is a hole.
		const room = 4 << 20
		const hole = corrupt.MaxBytes - room
		require.NoError(w, os.Mkdir(w.dot("corrupt", "b"), 0o700))
		require.NoError(w, os.WriteFile(w.dot("corrupt", "b", "hole"), nil, 0o600))
		require.NoError(w, os.Truncate(w.dot("corrupt", "b", "hole"), hole))
		const count = 200
		rubbish := bytes.Repeat([]byte("rubbish!"), 1<<16)
		sent := make(chan error, 1)
		go func() {
			for range count {
				if _, err := mallory.Deliver(w.ctx, "b", []protocol.Frame{{ID: []byte("x"), Data: rubbish}}, true); err != nil {
					sent <- err
					return
				}
			}
			_, err := mallory.Deliver(w.ctx, "b", []protocol.Frame{{ID: []byte("y"), Data: w.envelope("mallory", "b", "good")}}, true)
			sent <- err
		}()
		peak := watchHeap()
		require.Equal(w, []string{"good"}, w.receive(b, 1))
		require.NoError(w, <-sent)
		require.EqualValues(w, count, told.Load())
		require.Less(w, peak(), uint64(100<<20))
		var size int64
		require.NoError(w, filepath.WalkDir(w.dot("corrupt"), func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			size += info.Size()
			return err
		}))
		require.Greater(w, size, int64(hole+room/2))
		require.Less(w, size, int64(hole+room+1<<20), "of %d bytes", count*len(rubbish))
	})
}

// Whatever lies in a store's directories, all verbs go on, and nothing outside
// is touched.
func TestDirectoriesFullOfRubbish(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		a, b := w.connect("a", ipcmgr.Logger(silent)), w.connect("b", ipcmgr.Logger(silent))
		w.send(a, "b", "before")
		outside := filepath.Join(w.base, "outside")
		require.NoError(w, os.Mkdir(outside, 0o700))
		require.NoError(w, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600))
		var dirs []string
		require.NoError(w, filepath.WalkDir(w.route(), func(path string, e os.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				dirs = append(dirs, path)
			}
			return err
		}))
		for _, dir := range dirs {
			litter(w, dir, outside)
		}
		w.send(a, "b", "after")
		require.Equal(w, []string{"before", "after"}, w.receive(b, 2))
		c := w.connect("c", ipcmgr.Logger(silent))
		w.send(c, "a", "new here")
		require.Equal(w, []string{"new here"}, w.receive(a, 1))
		peers, err := w.store.Peers(w.ctx)
		require.NoError(w, err)
		for _, id := range []string{"a", "b", "c"} {
			i := indexOf(peers, id)
			require.GreaterOrEqual(w, i, 0, id)
			require.Equal(w, ipcmgr.Active, peers[i].State)
		}
		_, err = w.store.Audit(w.ctx)
		require.NoError(w, err)
		_, err = ipcmgr.Collect(w.ctx)
		require.NoError(w, err)
		for _, x := range []ipcmgr.Client{a, b, c} {
			err := x.Disconnect(w.ctx, nil)
			require.True(w, err == nil || errors.As(err, new(*ipcmgr.UnreadError)), err)
		}
		require.NoError(w, w.store.Unspawn(w.ctx))
		secret, err := os.ReadFile(filepath.Join(outside, "secret"))
		require.NoError(w, err)
		require.Equal(w, "secret", string(secret))
		left, err := os.ReadDir(outside)
		require.NoError(w, err)
		require.Len(w, left, 1)
	})
}

func indexOf(peers []ipcmgr.Peer, id string) int {
	for i := range peers {
		if peers[i].ID == id {
			return i
		}
	}
	return -1
}

// litter puts into a directory what nobody expects there.
func litter(w *world, dir, outside string) {
	put := func(name string, data []byte) {
		require.NoError(w, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	put("rubbish", []byte("rubbish"))
	put("empty", nil)
	put("large", make([]byte, 1<<20))
	put("h-0123456789012345678901234567890123456789", []byte("x"))
	put("0123456789abcdef-00000000000001-000000000001-000001-00000005.message", []byte("no message"))
	put("0123456789abcdef-00000000000001-000000000002-000002-00000008.frames", []byte("\xff\xff\xff\xff and so on"))
	put("x.pid", []byte(fmt.Sprint(os.Getpid())))
	put("x.stats", []byte("{"))
	put("good.ready", []byte("{"))
	for i := range 50 {
		put(fmt.Sprint("many", i), []byte{byte(i)})
	}
	for _, name := range []string{"d", "d.ready", "d.pid"} {
		require.NoError(w, os.MkdirAll(filepath.Join(dir, name, "sub", "sub"), 0o700))
	}
	for _, name := range []string{"l", "l.ready", "0123456789abcdef-00000000000001-000000000003-000001-00000006.message"} {
		require.NoError(w, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, name)))
	}
	require.NoError(w, os.Symlink(outside, filepath.Join(dir, "elsewhere")))
	require.NoError(w, os.Symlink(dir, filepath.Join(dir, "circle")))
	require.NoError(w, os.Symlink("/dev/zero", filepath.Join(dir, "zero.ready")))
	litterSpecial(w, dir)
}
