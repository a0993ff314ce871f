package measure

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// driver is the side that sends.
type driver struct {
	end  End
	next uint64 // number of the next message
}

// run moves n messages and says that they were all. For trips it returns how
// long each took.
func (d *driver) run(shape Shape, n, size int) (took []time.Duration, err error) {
	switch shape {
	case Send:
		err = d.send(n, size)
	case Batch:
		err = d.batches(n, size)
	case Crowd:
		err = d.crowd(n, size)
	case Trip:
		took, err = d.trips(n, size, 0)
	case Idle:
		took, err = d.trips(n, size, IdleFor*time.Millisecond)
	default:
		err = fmt.Errorf("there is no shape %q", shape)
	}
	if err != nil {
		return nil, err
	}
	s := newSlot(size)
	s.stamp(last | d.next)
	return took, d.end.Send(s.boxed)
}

func (d *driver) send(n, size int) error {
	s := newSlot(size)
	for range n {
		s.stamp(d.next)
		if err := d.end.Send(s.boxed); err != nil {
			return err
		}
		d.next++
	}
	return nil
}

func (d *driver) batches(n, size int) error {
	var slots [BatchSize]slot
	var contents [BatchSize]any
	for i := range slots {
		slots[i] = newSlot(size)
		contents[i] = slots[i].boxed
	}
	for n > 0 {
		now := min(n, BatchSize)
		for i := range now {
			slots[i].stamp(d.next)
			d.next++
		}
		if err := d.end.SendBatch(contents[:now]); err != nil {
			return err
		}
		n -= now
	}
	return nil
}

func (d *driver) crowd(n, size int) error {
	end := d.next + uint64(n)
	var next atomic.Uint64
	next.Store(d.next)
	errs := make(chan error, CrowdSize)
	var crowd sync.WaitGroup
	for range CrowdSize {
		crowd.Go(func() {
			s := newSlot(size)
			for n := next.Add(1) - 1; n < end; n = next.Add(1) - 1 {
				s.stamp(n)
				if err := d.end.Send(s.boxed); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	crowd.Wait()
	close(errs)
	d.next = end
	return <-errs
}

func (d *driver) trips(n, size int, pause time.Duration) ([]time.Duration, error) {
	s := newSlot(size)
	into := make([]byte, size)
	took := make([]time.Duration, n)
	for i := range took {
		if pause > 0 {
			<-time.After(pause)
		}
		s.stamp(d.next)
		start := time.Now()
		b, err := ask(d.end, s.boxed, into)
		took[i] = time.Since(start)
		if err != nil {
			return nil, err
		}
		got, err := number(b, size)
		if err != nil {
			return nil, err
		}
		if got != d.next {
			return nil, fmt.Errorf("message %d was answered with %d", d.next, got)
		}
		d.next++
	}
	return took, nil
}
