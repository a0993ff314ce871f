package fsqueue_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/fsqueue"
)

// corpus is a copy of the route that Perl wrote, joined.
func corpus(t *testing.T) protocol.Store {
	t.Helper()
	route := filepath.Join(t.TempDir(), "route")
	require.NoError(t, os.CopyFS(route, os.DirFS("../../testdata/perl/messagefiles")))
	require.NoError(t, os.Chmod(route, 0o700))
	// A directory that is empty is in no copy.
	if err := os.Mkdir(filepath.Join(route, "carol"), 0o700); err != nil {
		require.ErrorIs(t, err, fs.ErrExist)
	}
	st, err := fsqueue.Protocol{}.Join(t.Context(), route, settings())
	require.NoError(t, err)
	t.Cleanup(func() { st.Close() })
	return st
}

// content of each message is what a Perl reader finds in it.
func contents(t *testing.T, ds []protocol.Delivery) (all []string) {
	for _, d := range ds {
		var m struct{ Content json.RawMessage }
		require.NoError(t, json.Unmarshal(d.Data, &m))
		all = append(all, string(m.Content))
	}
	return all
}

func TestWhatPerlSentIsReadInItsOrder(t *testing.T) {
	st := corpus(t)
	n, err := st.Unread(t.Context(), "bob")
	require.NoError(t, err)
	require.Equal(t, 12, n)
	bob := connect(t, st, "bob", protocol.Reconnect)
	require.Equal(t, protocol.Suspended, bob.Found())
	ds := ready(t, bob)
	require.Equal(t, []string{
		`{"hello":"world"}`,
		`[1,2.5,"3",true,null]`,
		`"a plain string"`,
		`{"u":"h\u00e9\u20ac\ud83d\ude00","q":"\"\\/\n\t` + "\x7f" + `","nul":"\u0000"}`,
		`{"n":[0.3,9007199254740993,-0.0,1e+300,"18446744073709551616"],"t":true,"f":false}`,
		`{"deep":[[[[[[[[{}]]]]]]]]}`,
		`{"bytes":"\u00ff\u00fe"}`,
		`{"request":{"args":[1,2],"method":"add"},"ipcm_request_id":"01A1F738-21DE-73AF-A836-6C2211915799"}`,
		`{"ipcm_response_id":"01A1F738-21DE-73AF-A836-6C2211915799","response":3}`,
		`{"response":null,"ipcm_error":"Internal service error","ipcm_response_id":"01A1F738-21DE-73AF-A836-6C2211915799"}`,
		`{"terminate":1}`,
		`"to all"`,
	}, contents(t, ds))
	for _, d := range ds {
		require.False(t, d.Redelivered)
	}
	require.NoError(t, bob.Ack(t.Context(), ds))
	n, err = st.Unread(t.Context(), "bob")
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestWhatPerlPutBackIsReadFirst(t *testing.T) {
	st := corpus(t)
	n, err := st.Unread(t.Context(), "carol")
	require.NoError(t, err)
	require.Equal(t, 2, n)
	p := perlPeer{t, st.Route(), "dave", 0}
	p.send("carol", `"later"`)
	carol := connect(t, st, "carol", protocol.Reconnect)
	ds := ready(t, carol)
	require.Equal(t, []string{`{"again":1}`, `{"again":2}`, `"later"`}, contents(t, ds))
	require.NoFileExists(t, filepath.Join(st.Route(), "carol.resume"))
	require.NoError(t, carol.Ack(t.Context(), ds[:1]))
	require.NoError(t, carol.Leave(t.Context(), protocol.Departure{Suspend: true}))
	carol = connect(t, st, "carol", protocol.Reconnect)
	require.Equal(t, []string{`{"again":2}`, `"later"`}, contents(t, ready(t, carol)))
}

func TestLongIDsOfPerlAreFound(t *testing.T) {
	st := corpus(t)
	names, err := filepath.Glob(filepath.Join(st.Route(), "*.name"))
	require.NoError(t, err)
	require.Len(t, names, 2)
	for _, name := range names {
		id, err := os.ReadFile(name)
		require.NoError(t, err)
		waiting, err := os.ReadDir(strings.TrimSuffix(name, ".name"))
		require.NoError(t, err)
		m := connect(t, st, string(id), protocol.Reconnect)
		require.Len(t, ready(t, m), len(waiting))
	}
}

// perlPeer plays IPC::Manager's MessageFiles client, from the description of
// the format alone.
type perlPeer struct {
	t     *testing.T
	route string
	id    string
	sent  int
}

func (p *perlPeer) path(end string) string { return filepath.Join(p.route, p.id+end) }

func (p *perlPeer) connect() {
	require.NoError(p.t, os.Mkdir(p.path(""), 0o700))
	require.NoError(p.t, os.WriteFile(p.path(".pend"), []byte(strconv.Itoa(os.Getpid())), 0o600))
	require.NoError(p.t, os.Rename(p.path(".pend"), p.path(".pid")))
}

// send writes one message as Perl would: under a temporary name in the
// receiver's directory.
func (p *perlPeer) send(to, content string) {
	p.sent++
	// The end of the id is random: names do not tell the order.
	id := fmt.Sprintf("01A1F769-DFEA-7%03X-B1F2-%012d", 4095-p.sent*7%4096, p.sent)
	stamp := strconv.FormatFloat(1795152273+float64(p.sent)/1e5, 'f', 5, 64)
	if p.sent%2 == 0 {
		stamp = `"` + stamp + `"`
	}
	data := fmt.Sprintf(`{"content":%s,"stamp_ord":%d,"to":%q,"from":%q,"id":%q,"stamp":%s}`, content, 0, to, p.id, id, stamp)
	name := filepath.Join(p.route, to, id)
	require.NoError(p.t, os.WriteFile(name+".pend", []byte(data), 0o600))
	require.NoError(p.t, os.Rename(name+".pend", name+".ready"))
}

// receive takes everything in the peer's directory.
func (p *perlPeer) receive() (contents []string) {
	type message struct {
		Stamp   float64         `json:"stamp"`
		Content json.RawMessage `json:"content"`
	}
	var all []message
	names, err := filepath.Glob(filepath.Join(p.path(""), "*.ready"))
	require.NoError(p.t, err)
	for _, name := range names {
		data, err := os.ReadFile(name)
		require.NoError(p.t, err)
		var m message
		require.NoError(p.t, json.Unmarshal(data, &m))
		all = append(all, m)
		require.NoError(p.t, os.Remove(name))
	}
	slices.SortFunc(all, func(a, b message) int {
		if a.Stamp < b.Stamp {
			return -1
		}
		return 1
	})
	for _, m := range all {
		contents = append(contents, string(m.Content))
	}
	return contents
}

func TestPerlPeerSendsInOrder(t *testing.T) {
	const many = 2000
	st := spawn(t, settings())
	bo := connect(t, st, "bo", protocol.New)
	pid, err := os.ReadFile(filepath.Join(st.Route(), "bo.pid"))
	require.NoError(t, err)
	line, _, _ := strings.Cut(string(pid), "\n") // Perl reads no more of it
	require.Equal(t, strconv.Itoa(os.Getpid()), line)
	p := &perlPeer{t, st.Route(), "perl", 0}
	p.connect()
	sent := make(chan bool)
	go func() {
		defer close(sent)
		for i := range many {
			p.send("bo", strconv.Itoa(i))
		}
	}()
	ds := make([]protocol.Delivery, 64)
	for got := 0; got < many; {
		n, err := bo.Fetch(t.Context(), ds, true)
		require.NoError(t, err)
		for _, content := range contents(t, ds[:n]) {
			require.Equal(t, strconv.Itoa(got), content)
			got++
		}
		require.NoError(t, bo.Ack(t.Context(), ds[:n]))
	}
	<-sent
	// What it sends while we say goodbye is either fetched, or it gets an error.
	p.send("bo", "2000")
	require.NoError(t, bo.Seal(t.Context()))
	n, err := bo.Fetch(t.Context(), ds, true)
	require.NoError(t, err)
	require.Equal(t, []string{"2000"}, contents(t, ds[:n]))
	require.NoDirExists(t, filepath.Join(st.Route(), "bo"))
	require.NoError(t, bo.Leave(t.Context(), protocol.Departure{Stats: []byte(`{"read":{"perl":2001},"sent":{}}`)}))
	stats, err := os.ReadFile(filepath.Join(st.Route(), "bo.stats"))
	require.NoError(t, err)
	require.JSONEq(t, `{"read":{"perl":2001},"sent":{}}`, string(stats))
}

func TestPerlPeerReceives(t *testing.T) {
	st := spawn(t, settings())
	bo := connect(t, st, "bo", protocol.New)
	p := &perlPeer{t, st.Route(), "perl", 0}
	_, err := bo.Deliver(t.Context(), "perl", frames("x"), false)
	require.ErrorIs(t, err, protocol.ErrNoPeer)
	p.connect()
	message := func(i int) protocol.Frame {
		return protocol.Frame{
			ID: fmt.Appendf(nil, "0000-%d", 999-i), // their order is not that of the names
			Data: fmt.Appendf(nil, `{"to":"perl","from":"bo","id":"0000-%d","stamp":%.5f,"stamp_ord":0,"content":%d}`,
				999-i, 1795152273+float64(i)/1e5, i),
		}
	}
	var fs []protocol.Frame
	for i := range 10 {
		fs = append(fs, message(i))
	}
	n, err := bo.Deliver(t.Context(), "perl", fs, true)
	require.NoError(t, err)
	require.Equal(t, 10, n)
	require.FileExists(t, filepath.Join(p.path(""), "0000-999.ready"))
	// A message that is sent twice replaces nothing; an id that is no name
	// escapes from nowhere.
	odd := message(10)
	odd.ID = []byte("../../bo.pid")
	for _, f := range []protocol.Frame{fs[9], odd} {
		_, err = bo.Deliver(t.Context(), "perl", []protocol.Frame{f}, true)
		require.NoError(t, err)
	}
	n, err = st.Unread(t.Context(), "perl")
	require.NoError(t, err)
	require.Equal(t, 12, n)
	require.Equal(t, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "9", "10"}, p.receive())

	// Suspended, it is still sent to; beyond its deadline, it is not.
	require.NoError(t, os.Remove(p.path(".pid")))
	deadline := func(at time.Time) {
		require.NoError(t, os.WriteFile(p.path(".suspend"), fmt.Appendf(nil, "%.5f", float64(at.UnixMicro())/1e6), 0o600))
	}
	deadline(time.Now().Add(time.Hour))
	_, err = bo.Deliver(t.Context(), "perl", []protocol.Frame{message(11)}, true)
	require.NoError(t, err)
	require.Equal(t, []string{"11"}, p.receive())
	deadline(time.Now().Add(-time.Hour))
	_, err = bo.Deliver(t.Context(), "perl", []protocol.Frame{message(12)}, true)
	require.ErrorIs(t, err, protocol.ErrPeerGone)
	require.Empty(t, p.receive())
}

// Perl removes the mailbox of a client that it takes for dead: what has been
// taken in is safe from it, and the door stands again.
func TestDoorThatIsRemovedStandsAgain(t *testing.T) {
	st := spawn(t, settings())
	bo := connect(t, st, "bo", protocol.New)
	p := &perlPeer{t, st.Route(), "perl", 0}
	p.send("bo", "1")
	require.Len(t, ready(t, bo), 1)
	door := filepath.Join(st.Route(), "bo")
	require.NoError(t, os.Remove(door))
	got := make(chan []protocol.Delivery, 1)
	go func() { // the reader mends it
		ds := make([]protocol.Delivery, 1)
		n, err := bo.Fetch(t.Context(), ds, true)
		assert.NoError(t, err)
		got <- ds[:n]
	}()
	for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() {
		if _, err := os.Stat(door); err == nil {
			break
		}
		require.True(t, time.Now().Before(deadline), "the door does not come back")
	}
	p.send("bo", "2")
	require.Equal(t, []string{"2"}, contents(t, <-got))
}

// Where directories cannot be watched, Perl's messages are found all the same,
// and somebody is told that it costs more.
func TestPerlIsHeardWithoutInotify(t *testing.T) {
	t.Setenv("IPCMGR_POLL", "1")
	st := spawn(t, settings())
	told := make(chan error, 10)
	bo, err := st.Connect(t.Context(), protocol.ConnectOptions{ID: "bo", Notice: func(err error) { told <- err }})
	require.NoError(t, err)
	require.ErrorContains(t, <-told, "IPCMGR_POLL")
	p := &perlPeer{t, st.Route(), "perl", 0}
	ds := make([]protocol.Delivery, 1)
	for i := range 3 {
		p.send("bo", strconv.Itoa(i))
		n, err := bo.Fetch(t.Context(), ds, true)
		require.NoError(t, err)
		require.Equal(t, []string{strconv.Itoa(i)}, contents(t, ds[:n]))
	}
	require.Empty(t, told, "and told once")
}
