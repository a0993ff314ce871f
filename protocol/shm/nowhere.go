//go:build !linux || ipcmgr_fallback

package shm

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/ipcmgr/ipcmgr/protocol"
)

func viable() error {
	return fmt.Errorf("a file system in memory whose space can be reserved is not to be had on %s; use the protocol unixsocket or fsqueue: %w",
		runtime.GOOS, errors.ErrUnsupported)
}

func spawn(context.Context, string, protocol.Settings) (protocol.Store, error) {
	return nil, failed("spawn", "", viable())
}

func open(context.Context, string) (protocol.Store, error) { return nil, failed("open", "", viable()) }

func collect(context.Context) ([]string, error) { return nil, nil }
