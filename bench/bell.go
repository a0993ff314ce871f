//go:build unix

package main

import (
	"context"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// bell wakes the other end's process: a datagram to its socket. Rings that
// nobody has heard yet are one.
type bell struct {
	own  *net.UnixConn
	path string // of the other's
	out  *net.UnixConn
	stop func() bool
}

// newBell makes the bell that is rung at this end.
func newBell(ctx context.Context, dir, to, from string) (*bell, error) {
	own, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, from+".bell")})
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { own.SetReadDeadline(time.Now()) })
	return &bell{own: own, path: filepath.Join(dir, to+".bell"), stop: stop}, nil
}

// meet waits until both ends can ring. The host was here first.
func (b *bell) meet() error {
	out, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: b.path})
	if err != nil { // the joiner is not there yet: it rings when it is
		if err := b.wait(); err != nil {
			return err
		}
		if out, err = net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: b.path}); err != nil {
			return err
		}
	}
	b.out = out
	return b.ring()
}

// ring wakes the other end.
func (b *bell) ring() error {
	raw, err := b.out.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Write(func(fd uintptr) bool {
		_, _ = unix.Write(int(fd), []byte{1}) // full: it will wake anyway
		return true
	})
}

// wait waits until somebody has rung since it last returned, or has before.
func (b *bell) wait() error {
	var one [1]byte
	_, err := b.own.Read(one[:])
	return err
}

func (b *bell) close() error {
	b.stop()
	if b.out != nil {
		b.out.Close()
	}
	return b.own.Close()
}
