package main

import (
	"context"
	"errors"
	"net"
	"net/rpc"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

// rpcLane is net/rpc over a unix socket. One by one, up to rpcWindow calls are
// under way, each of which the server may carry out before another; a batch is
// one call; a round trip is one call, too.
func rpcLane() measure.Lane {
	return measure.Lane{
		Name:      "net/rpc unix",
		Durable:   measure.InFlight,
		Unordered: true,
		Host: func(_ context.Context, p measure.Place) (string, func() (measure.End, error), error) {
			path := filepath.Join(p.Dir, "s")
			l, err := net.Listen("unix", path)
			if err != nil {
				return "", nil, err
			}
			return path, func() (measure.End, error) {
				defer l.Close()
				conn, err := l.Accept()
				if err != nil {
					return nil, err
				}
				return &rpcClient{client: rpc.NewClient(conn), under: make(chan *rpc.Call, rpcWindow)}, nil
			}, nil
		},
		Join: func(ctx context.Context, p measure.Place) (measure.End, error) {
			conn, err := net.Dial("unix", p.Addr)
			if err != nil {
				return nil, err
			}
			e := &rpcServer{ctx: ctx, conn: conn, in: make(chan []byte), back: make(chan []byte)}
			s := rpc.NewServer()
			if err := s.RegisterName("Lane", &rpcMethods{e}); err != nil {
				return nil, err
			}
			go s.ServeConn(conn)
			return e, nil
		},
	}
}

const rpcWindow = 100

// rpcClient is the end that calls.
type rpcClient struct {
	client *rpc.Client
	under  chan *rpc.Call
	going  int // calls under way
}

func (e *rpcClient) Send(content any) error {
	if e.going == rpcWindow {
		if err := (<-e.under).Error; err != nil {
			return err
		}
		e.going--
	}
	e.going++
	// The call is encoded before Go returns.
	e.client.Go("Lane.Put", [][]byte{content.([]byte)}, nil, e.under)
	return nil
}

func (e *rpcClient) SendBatch(contents []any) error {
	batch := make([][]byte, len(contents))
	for i, c := range contents {
		batch[i] = c.([]byte)
	}
	return e.client.Call("Lane.Put", batch, nil)
}

func (e *rpcClient) Ask(content any, _ []byte) (back []byte, err error) {
	err = e.client.Call("Lane.Ask", content.([]byte), &back)
	return back, err
}

func (e *rpcClient) Receive([]byte) ([]byte, error) { return nil, errors.ErrUnsupported } // answers come with Ask
func (e *rpcClient) Close() error                   { return e.client.Close() }

// rpcServer is the end that is called.
type rpcServer struct {
	ctx      context.Context
	conn     net.Conn
	in, back chan []byte
}

func (e *rpcServer) Receive([]byte) ([]byte, error) {
	select {
	case b := <-e.in:
		return b, nil
	case <-e.ctx.Done():
		return nil, context.Cause(e.ctx)
	}
}

func (e *rpcServer) Send(content any) error {
	e.back <- content.([]byte)
	return nil
}

func (e *rpcServer) SendBatch([]any) error { return errors.ErrUnsupported } // only the client calls
func (e *rpcServer) Close() error          { return e.conn.Close() }

// rpcMethods are what can be called.
type rpcMethods struct{ end *rpcServer }

// Put hands messages to the reader.
func (m *rpcMethods) Put(batch [][]byte, _ *struct{}) error {
	for _, b := range batch {
		select {
		case m.end.in <- b:
		case <-m.end.ctx.Done():
			return context.Cause(m.end.ctx)
		}
	}
	return nil
}

// Ask hands one to the reader and returns its answer.
func (m *rpcMethods) Ask(b []byte, back *[]byte) error {
	if err := m.Put([][]byte{b}, nil); err != nil {
		return err
	}
	*back = <-m.end.back
	return nil
}
