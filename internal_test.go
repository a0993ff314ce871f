package ipcmgr

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
	jsonser "github.com/ipcmgr/ipcmgr/serializer/json"
	"github.com/ipcmgr/ipcmgr/serializer/msgpack"
)

func TestIDs(t *testing.T) {
	form := regexp.MustCompile(`^[0-9A-F]{8}-[0-9A-F]{4}-7[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`)
	seen := map[string]bool{}
	for range 10000 {
		id := newID()
		require.Regexp(t, form, id)
		require.False(t, seen[id])
		seen[id] = true
	}
	s := newIDSeries()
	require.Equal(t, "01234567-89AB-7", string(s.next(nil, 0x0123456789AB)[:15]))
	for _, serial := range []uint64{rand.Uint64(), 0xFFFE, 1<<48 - 2} {
		s.serial = serial
		putHex(s.text[24:], serial)
		for n := serial + 1; n <= serial+3; n++ {
			id := string(s.next(nil, 0x0123456789AC))
			require.Equal(t, fmt.Sprintf("%012X", n&(1<<48-1)), id[24:])
			require.Regexp(t, form, id)
			require.False(t, seen[id])
			seen[id] = true
		}
	}

	id := newAnonymousID()
	require.Equal(t, anonymousName, countedAs(id))
	for _, other := range []string{"anon-x", "anon-", "bob", id + "0"} {
		require.Equal(t, other, countedAs(other))
	}
}

// Truth is Perl's: what its IPC::Manager sends, and what is like it.
func TestIsTerminate(t *testing.T) {
	for text, want := range map[string]bool{
		`{"terminate":1}`: true, `{"terminate":true}`: true, `{"terminate":"1"}`: true, `{"terminate":"0.0"}`: true,
		`{"terminate":[]}`: true, `{"terminate":{}}`: true, `{"terminate":0.5}`: true, `{"a":1,"terminate":"no"}`: true,
		`{"terminate":0}`: false, `{"terminate":false}`: false, `{"terminate":""}`: false, `{"terminate":"0"}`: false,
		`{"terminate":null}`: false, `{"a":"terminate"}`: false, `"terminate"`: false, `["terminate",1]`: false, `1`: false,
	} {
		for _, s := range []serializer.Serializer{jsonser.Serializer{}, msgpack.Serializer{}} {
			content, err := s.AppendContent(nil, json.RawMessage(text))
			require.NoError(t, err)
			require.Equal(t, want, isTerminate(s, content), "%s %s", s.Name(), text)
		}
	}
	m := NewMessage(terminateContent)
	require.True(t, m.IsTerminate())
	require.False(t, NewMessage("terminate").IsTerminate())
}

// The order of stamps does not depend on the clock.
func TestStampsWhenTheClockStepsBack(t *testing.T) {
	s := stamper{micros: time.Now().Add(time.Hour).UnixMicro(), ord: 3}
	for _, want := range []uint64{4, 7} {
		micros, ord, ids, err := s.stamp("bob", 3, nil)
		require.NoError(t, err)
		require.Equal(t, s.micros, micros)
		require.Equal(t, want, ord)
		require.Len(t, ids, 3*idLen)
	}
}

func TestStatsForms(t *testing.T) {
	for _, ser := range []serializer.Serializer{jsonser.Serializer{}, msgpack.Serializer{}} {
		s := Stats{Sent: map[string]int64{"b": 1 << 40}, Read: map[string]int64{}, Rejected: map[string]int64{"x": 1},
			Corrupt: map[string]int64{"": 2}, Dropped: map[string]int64{"y": 3}, Unsure: map[string]int64{"z": 4}, Crashes: 5}
		data, err := s.encode(ser)
		require.NoError(t, err)
		again, err := decodeStats(ser, data)
		require.NoError(t, err)
		require.Equal(t, s, again)
		again.add(&s)
		require.Equal(t, int64(1<<41), again.Sent["b"])
		require.EqualValues(t, 10, again.Crashes)
	}
	perl, err := decodeStats(jsonser.Serializer{}, []byte(`{"sent":{"bob":"12"},"read":{"x":3}}`))
	require.NoError(t, err)
	require.EqualValues(t, 12, perl.Sent["bob"])
	require.EqualValues(t, 3, perl.Read["x"])
	for _, bad := range []string{`{"sent":{"b":-1}}`, `{"sent":{"b":"x"}}`, `{"sent":{"b":null}}`, `[]`, `{`, `{"read":{"b":1e300}}`} {
		_, err := decodeStats(jsonser.Serializer{}, []byte(bad))
		require.Error(t, err, bad)
	}
}

// FuzzStats: what anyone left as statistics never panics, and is read the same
// after it is written again.
func FuzzStats(f *testing.F) {
	f.Add([]byte(`{"sent":{"bob":"12"},"read":{"x":3},"crashes":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeStats(jsonser.Serializer{}, data)
		if err != nil {
			return
		}
		encoded, err := s.encode(jsonser.Serializer{})
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeStats(jsonser.Serializer{}, encoded)
		if err != nil {
			t.Fatal(err)
		}
		require.Equal(t, s, again)
	})
}

// FuzzHello: whatever a connection begins with, it is the hello of one who may
// be a client, or an error.
func FuzzHello(f *testing.F) {
	stores := []*Store{{ser: jsonser.Serializer{}}, {ser: msgpack.Serializer{}}}
	for _, hello := range []string{`{"hello":"bob"}`, `{"hello":".."}`, `{"hello":0}`, `{"hello":"a","hello":"b"}`, `[`, "\x81\xa5hello\xa3bob", "\xdf\xff\xff\xff\xff"} {
		f.Add([]byte(hello))
	}
	f.Fuzz(func(t *testing.T, hello []byte) {
		for _, s := range stores {
			id, err := s.who(hello)
			if err == nil && id != protocol.Guard {
				require.NoError(t, protocol.CheckID(id))
			}
		}
	})
}

// The arithmetic of an audit: what it may call a success, and whom it doubts.
func TestAuditor(t *testing.T) {
	to := func(n int64) map[string]int64 { return map[string]int64{"b": n} }
	from := func(n int64) map[string]int64 { return map[string]int64{"a": n} }
	for name, c := range map[string]struct {
		a, b   Stats
		states map[string]State
		kept   int64
		loses  bool // the protocol keeps nothing of who crashed
		want   Verdict
	}{
		"equal":                    {Stats{Sent: to(3)}, Stats{Read: from(1), Rejected: from(1), Corrupt: from(1)}, nil, 0, false, Equal},
		"unread":                   {Stats{Sent: to(3)}, Stats{Read: from(1)}, nil, 2, false, Unread},
		"one lost":                 {Stats{Sent: to(3)}, Stats{Read: from(1)}, nil, 1, false, Dropped},
		"dropped":                  {Stats{Sent: to(3)}, Stats{Read: from(1), Dropped: from(2)}, nil, 0, false, Dropped},
		"the sender crashed":       {Stats{Sent: to(1)}, Stats{Read: from(2)}, map[string]State{"a": Crashed}, 0, false, Unknown},
		"the receiver is at it":    {Stats{Sent: to(2)}, Stats{Read: from(1)}, map[string]State{"b": Active}, 0, false, Unknown},
		"unsure":                   {Stats{Sent: to(1), Unsure: to(1)}, Stats{Read: from(2)}, nil, 0, false, Unknown},
		"unsure of another":        {Stats{Sent: to(2), Unsure: map[string]int64{"c": 1}}, Stats{Read: from(1), Unsure: from(1)}, nil, 0, false, Dropped},
		"it had crashed before":    {Stats{Sent: to(2)}, Stats{Read: from(1), Crashes: 1}, nil, 0, false, Unknown},
		"more than was sent":       {Stats{Sent: to(1)}, Stats{Read: from(2)}, nil, 0, false, Unknown},
		"unread, others' too":      {Stats{Sent: to(3)}, Stats{Read: from(1)}, nil, 9, false, Unread},
		"forged":                   {Stats{Sent: to(1)}, Stats{Read: from(1), Corrupt: from(5)}, nil, 0, false, Equal},
		"agree after a crash":      {Stats{Sent: to(1)}, Stats{Read: from(1), Crashes: 1}, nil, 0, false, Equal},
		"agree by chance":          {Stats{Sent: to(1)}, Stats{Read: from(1), Crashes: 1}, nil, 0, true, Unknown},
		"dropped before, and more": {Stats{Sent: to(3)}, Stats{Dropped: from(1)}, nil, 2, false, Dropped},
	} {
		a := auditor{stats: map[string]Stats{"a": c.a, "b": c.b}, states: c.states, kept: map[string]int64{"b": c.kept}, loses: c.loses}
		require.Equal(t, c.want, a.pair("a", "b").Verdict, name)
	}
}
