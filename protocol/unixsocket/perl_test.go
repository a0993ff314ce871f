//go:build unix

package unixsocket

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// The foreign peers of these tests are written from the description of the
// format alone.

// marker makes the files of a foreign client that only dials.
func marker(t *testing.T, s protocol.Store, id string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(s.Route(), id), nil, 0o600))
	foreignPID(t, s, id)
}

func foreignPID(t *testing.T, s protocol.Store, id string) {
	t.Helper()
	path := filepath.Join(s.Route(), id)
	require.NoError(t, os.WriteFile(path+".pid", []byte(strconv.Itoa(os.Getpid())), 0o600))
	t.Cleanup(func() {
		os.Remove(path + ".pid")
		os.Remove(path)
	})
}

// listening makes the files of a foreign client that listens.
func listening(t *testing.T, s protocol.Store, id string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(s.Route(), id)})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	foreignPID(t, s, id)
	return l
}

func TestRecordedStreamIsRead(t *testing.T) {
	stream, err := os.ReadFile("../../testdata/perl/connectionunix/alice-to-bob.stream")
	require.NoError(t, err)
	s := spawned(t)
	bob, _ := joined(t, s, "bob")
	marker(t, s, "alice")
	c := raw(t, s, "bob")
	// In pieces that cut headers and messages anywhere.
	for rest := stream; len(rest) > 0; {
		n := min(len(rest), 1+len(rest)%977)
		_, err := c.Write(rest[:n])
		require.NoError(t, err)
		rest = rest[n:]
	}
	from, texts := fetched(t, bob, 4)
	require.Equal(t, "alice", from)
	longest := 0
	r := bytes.NewReader(stream)
	require.Equal(t, `{"hello":"alice"}`, readFrame(t, r))
	for _, text := range texts {
		require.Equal(t, readFrame(t, r), text)
		longest = max(longest, len(text))
	}
	require.Zero(t, r.Len())
	require.Greater(t, longest, 70000)
	require.Contains(t, texts[3], "terminate")
}

func TestForeignPeerThatOnlyDialsIsAnsweredOnItsConnection(t *testing.T) {
	s := spawned(t)
	b, _ := joined(t, s, "b")
	marker(t, s, "perl")
	n, err := b.Deliver(within(t), "perl", frames("early"), true)
	require.Zero(t, n)
	require.ErrorIs(t, err, protocol.ErrNoPeer)
	require.ErrorContains(t, err, "only be answered")

	c := raw(t, s, "b")
	_, err = c.Write(framed(`{"hello":"perl"}`, "question"))
	require.NoError(t, err)
	from, texts := fetched(t, b, 1)
	require.Equal(t, "perl", from)
	require.Equal(t, []string{"question"}, texts)
	send(t, b, "perl", "answer", "and more")
	require.Equal(t, "answer", readFrame(t, c)) // no hello from who was dialled
	require.Equal(t, "and more", readFrame(t, c))
}

func TestForeignPeerThatListensIsDialled(t *testing.T) {
	s := spawned(t)
	l := listening(t, s, "perl")
	b, _ := joined(t, s, "b")
	send(t, b, "perl", "one", "two")
	c, err := l.AcceptUnix()
	require.NoError(t, err)
	defer c.Close()
	for _, want := range []string{`{"hello":"b"}`, "one", "two"} {
		require.Equal(t, want, readFrame(t, c))
	}
	_, err = c.Write(framed("answer"))
	require.NoError(t, err)
	from, texts := fetched(t, b, 1)
	require.Equal(t, "perl", from)
	require.Equal(t, []string{"answer"}, texts)
}

func TestNewHelloOfAForeignPeerReplacesItsConnection(t *testing.T) {
	s := spawned(t)
	b, _ := joined(t, s, "b")
	marker(t, s, "perl")
	first, second := raw(t, s, "b"), raw(t, s, "b")
	_, err := first.Write(framed(`{"hello":"perl"}`, "1"))
	require.NoError(t, err)
	_, texts := fetched(t, b, 1)
	require.Equal(t, []string{"1"}, texts)
	send(t, b, "perl", "to the first")
	require.Equal(t, "to the first", readFrame(t, first))

	// What is on the first was written before the second spoke.
	_, err = first.Write(framed("2", "3"))
	require.NoError(t, err)
	require.NoError(t, first.CloseWrite())
	_, err = second.Write(framed(`{"hello":"perl"}`, "4"))
	require.NoError(t, err)
	_, texts = fetched(t, b, 3)
	require.Equal(t, []string{"2", "3", "4"}, texts)
	closed(t, first)
	send(t, b, "perl", "to the second")
	require.Equal(t, "to the second", readFrame(t, second))
}

// What comes along with a hello is read, however full the mailbox is: no event
// would tell of it later.
func TestMessagesThatComeWithTheHelloOfAFullMailbox(t *testing.T) {
	s := spawned(t, func(s *protocol.Settings) { s.MaxPending = 1 })
	b, _ := joined(t, s, "b")
	marker(t, s, "perl")
	send(t, b, "b", "full")
	ds := make([]protocol.Delivery, 1)
	n, err := b.Fetch(within(t), ds, true)
	require.Equal(t, 1, n)
	require.NoError(t, err)
	c := raw(t, s, "b")
	_, err = c.Write(framed(`{"hello":"perl"}`, "1", "2"))
	require.NoError(t, err)
	_, texts := fetched(t, b, 2)
	require.Equal(t, []string{"1", "2"}, texts)
	require.NoError(t, b.Ack(within(t), ds))
}

func TestForeignSenderIsHeldBackByTheLimits(t *testing.T) {
	s := spawned(t, func(s *protocol.Settings) { s.MaxPending = 10 })
	b, _ := joined(t, s, "b")
	marker(t, s, "perl")
	c := raw(t, s, "b")
	const count = 5000
	written := make(chan error, 1)
	go func() {
		_, err := c.Write(framed(`{"hello":"perl"}`))
		for i := 0; i < count && err == nil; i++ {
			_, err = c.Write(framed(strconv.Itoa(i) + string(make([]byte, 1000))))
		}
		written <- err
	}()
	ctx := within(t)
	for next := 0; next < count; {
		ds := make([]protocol.Delivery, 64)
		n, err := b.Fetch(ctx, ds, true)
		require.NoError(t, err)
		for _, d := range ds[:n] {
			number, _, _ := bytes.Cut(d.Data, []byte{0})
			require.Equal(t, strconv.Itoa(next), string(number))
			next++
		}
		b.inbox.mu.Lock()
		count := b.inbox.count
		b.inbox.mu.Unlock()
		require.LessOrEqual(t, count, 10+slabSize/1000)
		require.NoError(t, b.Ack(ctx, ds[:n]))
	}
	require.NoError(t, <-written)
}
