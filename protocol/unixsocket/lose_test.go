//go:build unix

package unixsocket

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A connection may be found to have ended more than once. By then its
// descriptor may be that of another connection, which nobody has lost.
func TestLostConnectionIsNotLostAgain(t *testing.T) {
	const fd = 9999
	old, next := &conn{fd: fd}, &conn{fd: fd}
	m := &Mailbox{conns: map[int]*conn{fd: next}}
	m.lose(old, errEnd)
	require.Same(t, next, m.conns[fd])
	require.False(t, next.closed)
}
