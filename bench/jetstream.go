package main

import (
	"context"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

// jetstreamLane is NATS JetStream with its files, in the host's process as with
// NATS core. Each message is acknowledged by the server when it is kept, and by
// the reader, who takes it off the stream. A batch is published without waiting
// in between.
func jetstreamLane() measure.Lane {
	return measure.Lane{
		Name:    "jetstream",
		Durable: measure.Unsynced,
		Host: func(ctx context.Context, p measure.Place) (string, func() (measure.End, error), error) {
			s, nc, err := serveNATS(&server.Options{JetStream: true, StoreDir: p.Dir})
			if err != nil {
				return "", nil, err
			}
			js, err := jetstream.New(nc)
			if err != nil {
				return "", nil, err
			}
			for _, name := range []string{"to", "back"} {
				_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name}, Retention: jetstream.WorkQueuePolicy})
				if err != nil {
					return "", nil, err
				}
			}
			return s.ClientURL(), func() (measure.End, error) {
				e, err := newJetstreamEnd(ctx, nc, js, "to", "back")
				if err == nil {
					e.server = s
				}
				return e, err
			}, nil
		},
		Join: func(ctx context.Context, p measure.Place) (measure.End, error) {
			nc, err := nats.Connect(p.Addr)
			if err != nil {
				return nil, err
			}
			js, err := jetstream.New(nc)
			if err != nil {
				return nil, err
			}
			return newJetstreamEnd(ctx, nc, js, "back", "to")
		},
	}
}

type jetstreamEnd struct {
	ctx    context.Context
	server *server.Server // the host's
	nc     *nats.Conn
	js     jetstream.JetStream
	to     string
	in     jetstream.MessagesContext
}

func newJetstreamEnd(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, to, from string) (*jetstreamEnd, error) {
	consumer, err := js.CreateConsumer(ctx, from, jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: -1})
	if err != nil {
		return nil, err
	}
	in, err := consumer.Messages()
	return &jetstreamEnd{ctx: ctx, nc: nc, js: js, to: to, in: in}, err
}

func (e *jetstreamEnd) Send(content any) error {
	_, err := e.js.Publish(e.ctx, e.to, content.([]byte))
	return err
}

func (e *jetstreamEnd) SendBatch(contents []any) error {
	futures := make([]jetstream.PubAckFuture, len(contents))
	for i, c := range contents {
		var err error
		if futures[i], err = e.js.PublishAsync(e.to, c.([]byte)); err != nil {
			return err
		}
	}
	for _, f := range futures {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			return err
		case <-e.ctx.Done():
			return context.Cause(e.ctx)
		}
	}
	return nil
}

func (e *jetstreamEnd) Receive([]byte) ([]byte, error) {
	m, err := e.in.Next()
	if err != nil {
		return nil, err
	}
	return m.Data(), m.Ack()
}

func (e *jetstreamEnd) Close() error {
	e.in.Stop()
	err := e.nc.Flush()
	e.nc.Close()
	if e.server != nil {
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}
	return err
}
