//go:build unix

package unixsocket

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
)

func TestForgedHelloIsRefused(t *testing.T) {
	s := spawned(t)
	b, told := joined(t, s, "b")
	joined(t, s, "a") // of this process
	started(t, "forger", s.Route())
	told.await(within(t), t, `says that it is "a", which it is not`)
	n, err := b.Fetch(within(t), make([]protocol.Delivery, 1), false)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestForgedHelloOfAClientOfAnotherProcessIsRefused(t *testing.T) {
	s := spawned(t)
	_, says, _ := started(t, "alive", s.Route())
	line(t, says)
	_, told := joined(t, s, "b")
	c := raw(t, s, "b")
	_, err := c.Write(framed(string(hello("a")), "forged"))
	require.NoError(t, err)
	told.await(within(t), t, `says that it is "a", which it is not`)
	closed(t, c)
}

func TestHelloOfNobodyIsRefused(t *testing.T) {
	s := spawned(t)
	_, told := joined(t, s, "b")
	for _, first := range []string{"rubbish", string(hello("nobody")), string(hello("b")), `{"hello":".."}`, ""} {
		c := raw(t, s, "b")
		_, err := c.Write(framed(first, "forged"))
		require.NoError(t, err)
		closed(t, c)
	}
	told.await(within(t), t, "begins with no hello")
}

func TestHugeFrameClosesTheConnectionBeforeMemoryIsSpent(t *testing.T) {
	s := spawned(t)
	b, told := joined(t, s, "b")
	marker(t, s, "perl")
	c := raw(t, s, "b")
	_, err := c.Write(append(framed(string(hello("perl")), "good"), 0xff, 0xff, 0xff, 0xff, 'x'))
	require.NoError(t, err)
	told.await(within(t), t, "a frame of 4294967295 bytes is announced, 1048576 are allowed")
	closed(t, c)
	_, texts := fetched(t, b, 1)
	require.Equal(t, []string{"good"}, texts)

	// A hello may be much less than a message.
	c = raw(t, s, "b")
	_, err = c.Write([]byte{0, 0, 0x20, 1})
	require.NoError(t, err)
	closed(t, c)
}

// An announced length costs nothing until the bytes are there.
func TestMemoryFollowsWhatHasArrived(t *testing.T) {
	s := spawned(t, func(s *protocol.Settings) { s.MaxFrame, s.MaxBytes = 1<<30, 1<<30 })
	b, _ := joined(t, s, "b")
	marker(t, s, "perl")
	c := raw(t, s, "b")
	_, err := c.Write(append(framed(string(hello("perl")), "good"), 0x3f, 0xff, 0xff, 0xff, 'x', 'y'))
	require.NoError(t, err)
	_, texts := fetched(t, b, 1)
	require.Equal(t, []string{"good"}, texts)
	require.NoError(t, b.take(b.over))
	defer b.release()
	for _, c := range b.conns {
		require.Less(t, cap(c.in.large), 1<<18)
	}
}

func TestDribbledFramesHoldUpNobody(t *testing.T) {
	s := spawned(t)
	a, _ := joined(t, s, "a")
	b, _ := joined(t, s, "b")
	marker(t, s, "perl")
	c := raw(t, s, "b")
	big := strings.Repeat("large", 20000)
	stream := framed(string(hello("perl")), "slow")
	for i := range stream {
		_, err := c.Write(stream[i : i+1])
		require.NoError(t, err)
		if i%5 == 0 {
			send(t, a, "b", "quick", big)
			_, texts := fetched(t, b, 2)
			if texts[0] == "slow" {
				require.Equal(t, len(stream)-1, i)
				fetched(t, b, 1)
				return
			}
			require.Equal(t, []string{"quick", big}, texts)
		}
	}
	_, texts := fetched(t, b, 1)
	require.Equal(t, []string{"slow"}, texts)
}

func TestSilentConnectionsAreLimited(t *testing.T) {
	s := spawned(t)
	a, _ := joined(t, s, "a")
	b, told := joined(t, s, "b")
	var silent []*net.UnixConn
	begun := time.Now()
	for range maxStrangers + 50 {
		silent = append(silent, raw(t, s, "b"))
	}
	told.await(within(t), t, "connections wait to say who they are")
	for _, c := range silent[:50] {
		closed(t, c) // the oldest ones
	}
	send(t, a, "b", "hello")
	_, texts := fetched(t, b, 1)
	require.Equal(t, []string{"hello"}, texts)
	b.mu.Lock()
	defer b.mu.Unlock()
	require.LessOrEqual(t, len(b.strangers), maxStrangers)
	told.mu.Lock()
	defer told.mu.Unlock()
	crowded := slices.DeleteFunc(told.all, func(text string) bool { return !strings.Contains(text, "wait to say who they are") })
	require.LessOrEqual(t, len(crowded), 1+int(time.Since(begun)/seldom), "the log is not theirs to fill")
}

// One that has written since it was read last is heard before it would be closed
// for having been silent.
func TestStrangerIsHeardBeforeItIsClosed(t *testing.T) {
	s := spawned(t)
	b, _ := joined(t, s, "b")
	marker(t, s, "perl")
	require.NoError(t, b.take(within(t))) // nobody reads
	accept := func() {
		_, err := b.acceptAll()
		require.NoError(t, err)
	}
	first := raw(t, s, "b")
	accept()
	_, err := first.Write(framed(string(hello("perl")), "one"))
	require.NoError(t, err)
	_, says, _ := started(t, "silent", s.Route())
	line(t, says)
	accept()
	b.release()
	_, texts := fetched(t, b, 1)
	require.Equal(t, []string{"one"}, texts)
}

// One that says hello a thousand times does not use up the descriptors either,
// and what it sent by the connections that were taken is read.
func TestConnectionsOfOnePeerAreLimited(t *testing.T) {
	s := spawned(t)
	a, _ := joined(t, s, "a")
	b, told := joined(t, s, "b")
	marker(t, s, "perl")
	for range maxPerPeer + 50 {
		_, err := raw(t, s, "b").Write(framed(string(hello("perl"))))
		require.NoError(t, err)
	}
	told.await(within(t), t, `"perl" has 256 connections and makes another one`)
	send(t, a, "b", "hello")
	_, texts := fetched(t, b, 1)
	require.Equal(t, []string{"hello"}, texts)
	b.mu.Lock()
	defer b.mu.Unlock()
	require.LessOrEqual(t, len(b.conns), maxPerPeer+2)
}

// Without a descriptor for it, a connection waits; it is neither lost nor
// spun upon.
func TestRunningOutOfDescriptors(t *testing.T) {
	s := spawned(t)
	_, says, orders := started(t, "starved", s.Route())
	line(t, says)
	a, _ := joined(t, s, "b")
	send(t, a, "a", "at last")
	require.Contains(t, line(t, says), "too many open files")
	_, err := orders.Write([]byte("go on\n"))
	require.NoError(t, err)
	require.Equal(t, "at last", line(t, says))
}

func TestDeathInTheMiddleOfAMessage(t *testing.T) {
	s := spawned(t)
	b, told := joined(t, s, "b")
	started(t, "half", s.Route())
	from, texts := fetched(t, b, 1)
	require.Equal(t, "a", from)
	require.Equal(t, []string{"whole"}, texts)
	told.await(within(t), t, `the connection of "a" ended in the middle of a message`)
	n, err := b.Fetch(within(t), make([]protocol.Delivery, 1), false)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestLongRouteIsANamedError(t *testing.T) {
	route := filepath.Join(shortRoute(t), strings.Repeat("x", 60))
	_, err := Protocol{}.Spawn(within(t), route, settings())
	require.ErrorContains(t, err, route+" is too long by")
	require.ErrorContains(t, err, "use a shorter route")
	_, err = os.Lstat(route)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestLongIDFitsTheAddress(t *testing.T) {
	s := spawned(t)
	id := strings.Repeat("long", 60)
	a, _ := joined(t, s, id)
	b, _ := joined(t, s, "b")
	send(t, a, "b", "there")
	from, _ := fetched(t, b, 1)
	require.Equal(t, id, from)
	send(t, b, id, "and back")
	fetched(t, a, 1)
}
