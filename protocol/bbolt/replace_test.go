package bbolt

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/stretchr/testify/require"
)

// A store that has passed many messages stays small.
func TestFileStaysSmall(t *testing.T) {
	s := spawn(t, false)
	a := connect(t, s, "a", protocol.New)
	b := connect(t, s, "b", protocol.New)
	path := filepath.Join(b.own.box, messagesName)
	const cycles, each = 20, 10_000
	batch := make([]protocol.Frame, 500)
	for i := range batch {
		batch[i].Data = make([]byte, 1024)
	}
	ds := make([]protocol.Delivery, each)
	var largest int64
	for range cycles {
		for n := 0; n < each; n += len(batch) {
			_, err := a.Deliver(t.Context(), "b", batch, true)
			require.NoError(t, err)
		}
		for n := 0; n < each; {
			k, err := b.Fetch(t.Context(), ds, true)
			require.NoError(t, err)
			info, err := os.Stat(path)
			require.NoError(t, err)
			largest = max(largest, info.Size())
			require.NoError(t, b.Ack(t.Context(), ds[:k]))
			n += k
		}
		_, none := fetch(t, b, 1)
		require.Empty(t, none)
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(swell))
	}
	t.Logf("%d messages, the file had at most %d bytes", cycles*each, largest)
	require.Greater(t, largest, int64(swell))
	require.Less(t, largest, int64(32<<20))
	var last uint64
	require.NoError(t, b.own.read(t.Context(), func(l *ledger) error { last = l.last(); return nil }))
	require.EqualValues(t, cycles*each, last)
}

// damages are what may happen to a file.
var damages = map[string]func(t *testing.T, path string){
	"missing":   func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) },
	"empty":     func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 0)) },
	"cut short": func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 5000)) },
	"a text":    func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, []byte("hello"), 0o600)) },
	"zeros": func(t *testing.T, path string) {
		scribble(t, path, 0, make([]byte, 1<<15))
	},
	"pages lost": func(t *testing.T, path string) {
		scribble(t, path, 2*4096, make([]byte, 1<<17))
	},
	"pages of rubbish": func(t *testing.T, path string) {
		scribble(t, path, 2*4096, []byte(strings.Repeat("rubbish!", 1<<14)))
	},
	"a link": func(t *testing.T, path string) {
		require.NoError(t, os.Rename(path, path+".real"))
		require.NoError(t, os.Symlink(path+".real", path))
	},
	"a directory": func(t *testing.T, path string) {
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Mkdir(path, 0o700))
	},
}

func scribble(t *testing.T, path string, at int64, data []byte) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt(data, at)
	require.NoError(t, err)
}

// A damaged file is set aside and the mailbox works on, for the holder and for
// one who takes it up; numbers are not given twice.
func TestDamage(t *testing.T) {
	for what, do := range damages {
		t.Run(what, func(t *testing.T) {
			t.Run("while connected", func(t *testing.T) { damage(t, do, false) })
			t.Run("while suspended", func(t *testing.T) { damage(t, do, true) })
		})
	}
}

func damage(t *testing.T, do func(t *testing.T, path string), suspended bool) {
	s := spawn(t, false)
	a := connect(t, s, "a", protocol.New)
	b := connect(t, s, "b", protocol.New)
	for i := range 100 {
		deliver(t, a, "b", strings.Repeat(fmt.Sprint(i), 500))
	}
	ds, _ := fetch(t, b, 10)
	box := b.own.box
	if suspended {
		require.NoError(t, b.Leave(t.Context(), protocol.Departure{Suspend: true}))
	}
	a.peers["b"].file.rest()
	b.own.rest()
	do(t, filepath.Join(box, messagesName))
	if suspended {
		b = connect(t, s, "b", protocol.Reconnect)
		ds = nil
	}
	require.NoError(t, b.Ack(t.Context(), ds))
	_, err := a.Deliver(t.Context(), "b", []protocol.Frame{{Data: []byte("lost?")}}, true)
	if err != nil {
		require.ErrorIs(t, err, errDamaged)
	}
	// What is intact comes; now the damage has been noticed, wherever it is.
	ds, _ = fetch(t, b, 200)
	require.NoError(t, b.Ack(t.Context(), ds))
	deliver(t, a, "b", "after")
	var got []string
	for len(got) == 0 || got[len(got)-1] != "after" {
		ds, data := fetch(t, b, 200)
		require.NotEmpty(t, ds)
		got = append(got, data...)
		require.NoError(t, b.Ack(t.Context(), ds))
		require.Greater(t, ds[0].Tag, uint64(10))
	}
	require.NoError(t, b.Leave(t.Context(), protocol.Departure{}))
}

// Whatever bits fall over, no process does.
func TestRandomDamage(t *testing.T) {
	boxes := t.TempDir()
	newBox(t, boxes, "b", false)
	path := filepath.Join(boxes, "b", messagesName)
	f := useFile(t, boxes, "b", false)
	f.notice = func(error) {}
	for i := range 200 {
		require.NoError(t, f.write(t.Context(), add(strings.Repeat(fmt.Sprint(i), 300))))
	}
	f.rest()
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		bad := append([]byte(nil), good...)
		for range 1 + random.IntN(8) {
			page := random.IntN(len(bad) / 4096)
			bad[page*4096+random.IntN(256)] = byte(random.Uint32())
		}
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		require.NoError(t, f.inspect(t.Context()))
		again(func() error {
			return f.write(t.Context(), func(l *ledger) error {
				l.count(nil)
				return add("one more")(l)
			})
		})
		f.rest()
	}
	require.NoError(t, os.WriteFile(path, good, 0o600))
	require.Len(t, contents(t, f), 200)
}

// A circle of pages, each of which is sound in itself, is found.
func TestCircle(t *testing.T) {
	boxes := t.TempDir()
	newBox(t, boxes, "b", false)
	f := useFile(t, boxes, "b", false)
	require.NoError(t, f.write(t.Context(), func(l *ledger) error {
		for range 5000 {
			if err := add(strings.Repeat("x", 100))(l); err != nil {
				return err
			}
		}
		return nil
	}))
	f.rest()
	path := filepath.Join(boxes, "b", messagesName)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	branches := 0
	for at := 2 * 4096; at < len(raw); at += 4096 {
		p := page(raw[at:])
		if p.flags() == branchPage {
			branches++
			scribble(t, path, int64(at+headSize+8), raw[at:at+8])
		}
	}
	require.NotZero(t, branches)
	require.NoError(t, f.inspect(t.Context()))
	require.Empty(t, contents(t, f))
	require.NoError(t, f.write(t.Context(), add("after")))
}
