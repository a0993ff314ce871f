package main

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

// natsLane is NATS core: a server on the loopback, in the host's process, where
// it is a little faster than in one of its own; a subject each way. Publish
// returns when the message is in the client's buffer, so one by one and batches
// are the same.
func natsLane() measure.Lane {
	return measure.Lane{
		Name:    "nats core",
		Durable: measure.InFlight,
		Host: func(_ context.Context, _ measure.Place) (string, func() (measure.End, error), error) {
			s, nc, err := serveNATS(&server.Options{})
			if err != nil {
				return "", nil, err
			}
			e, err := newNATSEnd(nc, "to", "back")
			if err != nil {
				return "", nil, err
			}
			e.server = s
			return s.ClientURL(), func() (measure.End, error) {
				_, err := e.Receive(nil) // the joiner is there
				return e, err
			}, nil
		},
		Join: func(_ context.Context, p measure.Place) (measure.End, error) {
			nc, err := nats.Connect(p.Addr)
			if err != nil {
				return nil, err
			}
			e, err := newNATSEnd(nc, "back", "to")
			if err != nil {
				return nil, err
			}
			return e, e.Send([]byte("hello"))
		},
	}
}

// serveNATS runs a server that drops no reader who is behind, and connects to
// it.
func serveNATS(o *server.Options) (*server.Server, *nats.Conn, error) {
	o.Host, o.Port, o.NoLog, o.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, true
	o.MaxPayload, o.MaxPending = 8<<20, 1<<30
	s, err := server.NewServer(o)
	if err != nil {
		return nil, nil, err
	}
	s.Start()
	if !s.ReadyForConnections(time.Minute) {
		return nil, nil, errors.New("the NATS server does not start")
	}
	nc, err := nats.Connect(s.ClientURL())
	return s, nc, err
}

// natsEnd receives in the client's callback, which keeps up with any number of
// messages.
type natsEnd struct {
	server *server.Server // the host's
	nc     *nats.Conn
	to     string
	turns  chan func([]byte) (bool, error)
	see    func([]byte) (bool, error) // of the turn that is on; the callback's
	over   chan error
}

func newNATSEnd(nc *nats.Conn, to, from string) (*natsEnd, error) {
	e := &natsEnd{nc: nc, to: to, turns: make(chan func([]byte) (bool, error)), over: make(chan error)}
	sub, err := nc.Subscribe(from, e.take)
	if err != nil {
		return nil, err
	}
	return e, errors.Join(sub.SetPendingLimits(-1, -1), nc.Flush())
}

func (e *natsEnd) take(m *nats.Msg) {
	if e.see == nil {
		e.see = <-e.turns
	}
	if more, err := e.see(m.Data); err != nil || !more {
		e.see = nil
		e.over <- err
	}
}

func (e *natsEnd) Range(_ []byte, _ int, see func([]byte) (bool, error)) error {
	e.turns <- see
	return <-e.over
}

func (e *natsEnd) Receive([]byte) (got []byte, err error) {
	err = e.Range(nil, 1, func(b []byte) (bool, error) {
		got = b
		return false, nil
	})
	return got, err
}

func (e *natsEnd) Send(content any) error { return e.nc.Publish(e.to, content.([]byte)) }

func (e *natsEnd) SendBatch(contents []any) error {
	for _, c := range contents {
		if err := e.Send(c); err != nil {
			return err
		}
	}
	return nil
}

func (e *natsEnd) Close() error {
	e.nc.Close()
	if e.server != nil {
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}
	return nil
}
