package proc

import (
	"errors"
	"time"
)

// Strategy says what a Supervisor does about a worker that crashed. The zero
// value gives up at the first crash.
type Strategy struct {
	// Restarts is how many restarts are allowed within Per, of all workers
	// together; at the next crash the supervisor stops them all and gives up.
	Restarts int
	// Per is a minute if it is 0.
	Per time.Duration
	// AllForOne stops and restarts all workers when one crashed, except those
	// that have done their work. Their mailboxes stay.
	AllForOne bool
	// Backoff is how long a restart waits, doubled for each further crash until
	// MaxBackoff. A random part, up to half of it, is taken off, so that workers that
	// crashed together do not come back together. 50 ms and 10 s if they are 0.
	// Who ran longer than MaxBackoff before it crashed begins again with Backoff.
	Backoff, MaxBackoff time.Duration
	// StartTimeout is how long a worker may take to connect before it is
	// killed, which counts as a crash. 30 s if it is 0.
	StartTimeout time.Duration
}

func (s Strategy) validate() error {
	if s.Restarts < 0 || s.Per < 0 || s.Backoff < 0 || s.MaxBackoff < 0 || s.StartTimeout < 0 {
		return errors.New("a number of the Strategy is negative")
	}
	return nil
}

func (s Strategy) withDefaults() Strategy {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&s.Per, time.Minute)
	def(&s.Backoff, 50*time.Millisecond)
	def(&s.MaxBackoff, 10*time.Second)
	def(&s.StartTimeout, 30*time.Second)
	s.Backoff = min(s.Backoff, s.MaxBackoff)
	return s
}

// backoff is how long to wait after a number of crashes in a row before this
// one; random is from 0 to 1.
func (s Strategy) backoff(inARow int, random float64) time.Duration {
	d := s.Backoff
	for ; inARow > 0 && d < s.MaxBackoff; inARow-- {
		d *= 2
	}
	d = min(d, s.MaxBackoff)
	return d - time.Duration(random*float64(d)/2)
}
