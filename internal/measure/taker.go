package measure

// taker is the side that receives, checks, and answers.
type taker struct {
	end   End
	check check
}

// run receives until the driver has said that these were all, and answers each
// if they are trips.
func (t *taker) run(shape Shape, size int, kept, unordered bool) error {
	t.check.turn(size, unordered || shape == Crowd)
	var into []byte
	if !kept {
		into = make([]byte, size)
	}
	see := t.check.see
	if shape.trips() {
		see = t.echo(size)
	}
	return rangeOver(t.end, into, shape.batch(), see)
}

// echo answers each message with itself.
func (t *taker) echo(size int) func([]byte) (bool, error) {
	back := newSlot(size)
	return func(b []byte) (bool, error) {
		more, err := t.check.see(b)
		if err != nil || !more {
			return false, err
		}
		copy(back.bytes, b)
		return true, t.end.Send(back.boxed)
	}
}
