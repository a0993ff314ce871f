package main

import (
	"errors"
	"net"
	"testing"

	"github.com/go-zeromq/zmq4"
	"github.com/stretchr/testify/require"
)

// closing is a socket that closes like this.
type closing struct {
	zmq4.Socket
	err error
}

func (c closing) Close() error { return c.err }

// Which end leaves first is chance: that a connection is closed already is no
// failure, and anything else is.
func TestZMQClose(t *testing.T) {
	gone := &net.OpError{Op: "close", Net: "unix", Err: net.ErrClosed}
	broken := errors.New("broken")
	require.NoError(t, (&zmqEnd{closing{err: gone}, closing{}}).Close())
	require.NoError(t, (&zmqEnd{closing{}, closing{err: gone}}).Close())
	require.ErrorIs(t, (&zmqEnd{closing{err: gone}, closing{err: broken}}).Close(), broken)
}
