// Package measure moves messages between two processes over lanes and says
// what each costs, in one run and with one set of checks for all of them.
//
// The lanes of a Plan take turns, each round anew and each time in processes of
// their own, so that what chance gives a process, or does to the machine, is
// given to all. Every message has a number and a checksum; the reader checks
// both, and one that is lost, repeated, damaged or out of order fails the row.
package measure

import "context"

// Lane is one way to move messages between two processes. Its functions are
// called in different processes, whose contexts end when the run is over or
// given up.
type Lane struct {
	Name    string // by which the processes find it again
	Durable string // one of the constants, or what else becomes of an accepted message
	Memory  bool   // its files are to be in memory, wherever those of others are

	// Serve runs what both ends need besides each other, in a process of its
	// own, until stop; addr is what they need to know of it. nil: nothing.
	Serve func(ctx context.Context, p Place) (addr string, stop func() error, err error)
	// Host makes the end that sends. Join is then called with addr, and meet
	// meanwhile: it returns when both ends are there.
	Host func(ctx context.Context, p Place) (addr string, meet func() (End, error), err error)
	// Join makes the end that receives and answers. nil: Host's is both.
	Join func(ctx context.Context, p Place) (End, error)

	// Unordered lanes may deliver in any order.
	Unordered bool
}

// Place is where a lane is.
type Place struct {
	Dir  string // for files: empty at first, the same for all processes, removed at the end
	Addr string // for Host what Serve returned, for Join what Host returned
}

// End is one end of a lane. It has one sender, except in the shape Crowd, and
// one receiver. Contents are []byte, boxed once by the caller and used again
// as soon as a call returns.
type End interface {
	// Send moves one message.
	Send(content any) error
	// SendBatch moves many by the best means that the lane has for it.
	SendBatch(contents []any) error
	// Receive waits for the next message, which it stores in into if that has
	// room, else in new memory. The receiver is done with it at the next call.
	Receive(into []byte) ([]byte, error)
	Close() error
}

// A Ranger is an End with a loop of its own to receive many. It hands each
// message to see, until that wants no more. batch is how many were sent at a
// time.
type Ranger interface {
	Range(into []byte, batch int, see func([]byte) (more bool, err error)) error
}

// An Asker is an End that has answers of its own: Ask sends a message and
// stores the answer as Receive does.
type Asker interface {
	Ask(content any, into []byte) ([]byte, error)
}

// rangeOver receives until see wants no more.
func rangeOver(e End, into []byte, batch int, see func([]byte) (more bool, err error)) error {
	if r, ok := e.(Ranger); ok {
		return r.Range(into, batch, see)
	}
	for {
		b, err := e.Receive(into)
		if err != nil {
			return err
		}
		if more, err := see(b); err != nil || !more {
			return err
		}
	}
}

// ask makes one round trip.
func ask(e End, content any, into []byte) ([]byte, error) {
	if a, ok := e.(Asker); ok {
		return a.Ask(content, into)
	}
	if err := e.Send(content); err != nil {
		return nil, err
	}
	return e.Receive(into)
}
