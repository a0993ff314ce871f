package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"

	"github.com/go-zeromq/zmq4"

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

// zmqLane is ZeroMQ in pure Go: a push and a pull socket each way, over unix
// sockets. It has nothing for batches.
func zmqLane() measure.Lane {
	return measure.Lane{
		Name:    "zmq4 ipc",
		Durable: measure.InFlight,
		Host: func(ctx context.Context, p measure.Place) (string, func() (measure.End, error), error) {
			e := &zmqEnd{push: zmq4.NewPush(ctx), pull: zmq4.NewPull(ctx)}
			err := errors.Join(e.push.Listen("ipc://"+filepath.Join(p.Dir, "to")), e.pull.Listen("ipc://"+filepath.Join(p.Dir, "back")))
			return "", func() (measure.End, error) {
				_, err := e.Receive(nil) // the joiner is there
				return e, err
			}, err
		},
		Join: func(ctx context.Context, p measure.Place) (measure.End, error) {
			e := &zmqEnd{push: zmq4.NewPush(ctx), pull: zmq4.NewPull(ctx)}
			err := errors.Join(e.pull.Dial("ipc://"+filepath.Join(p.Dir, "to")), e.push.Dial("ipc://"+filepath.Join(p.Dir, "back")))
			return e, errors.Join(err, e.Send([]byte("hello")))
		},
	}
}

type zmqEnd struct{ push, pull zmq4.Socket }

func (e *zmqEnd) Send(content any) error { return e.push.Send(zmq4.NewMsg(content.([]byte))) }

func (e *zmqEnd) SendBatch(contents []any) error {
	for _, c := range contents {
		if err := e.Send(c); err != nil {
			return err
		}
	}
	return nil
}

func (e *zmqEnd) Receive([]byte) ([]byte, error) {
	m, err := e.pull.Recv()
	return m.Bytes(), err
}

// Close does not mind that a connection was closed before: its other end may
// have left first.
func (e *zmqEnd) Close() error {
	var errs []error
	for _, s := range []zmq4.Socket{e.push, e.pull} {
		if err := s.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
