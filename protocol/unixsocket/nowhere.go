//go:build !unix

package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// proves nothing: this system does not say which process is at the other end of
// a socket, so that no store is possible here.
const proves = false

func viable() error {
	return fmt.Errorf("%s: a socket on %s does not tell who is at its other end; use the protocol fsqueue: %w",
		Name, runtime.GOOS, errors.ErrUnsupported)
}

func checkRoute(string) error { return nil }

func spawn(context.Context, string, protocol.Settings) (protocol.Store, error) { return nil, viable() }
func open(context.Context, string) (protocol.Store, error)                     { return nil, viable() }
func join(context.Context, string, protocol.Settings) (protocol.Store, error)  { return nil, viable() }
func collect(context.Context) ([]string, error)                                { return nil, nil }
