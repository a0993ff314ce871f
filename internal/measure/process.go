package measure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// process is one of those that play, as the one that measures sees it.
type process struct {
	side  side
	cmd   *exec.Cmd
	stdin io.Closer
	out   *json.Encoder
	words words

	ended chan struct{} // closed when it has ended
	err   error         // how, then: nil if it was in order
}

// news is an answer of a process, or why there are no more.
type news struct {
	answer
	err error
}

// launch starts a process, tells it its part, and passes on what it says. moving
// gets a token when it says that messages come.
func launch(cmd *exec.Cmd, cpus []int, p part, says chan<- news, moving chan<- struct{}) (*process, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	pr := &process{side: p.Side, cmd: cmd, stdin: in, out: json.NewEncoder(in), ended: make(chan struct{})}
	cmd.Stderr = &pr.words
	if err := startOn(cmd, cpus); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd, err)
	}
	go pr.listen(out, says, moving)
	return pr, pr.out.Encode(p)
}

func (p *process) listen(out io.Reader, says chan<- news, moving chan<- struct{}) {
	for dec := json.NewDecoder(out); ; {
		var n news
		err := dec.Decode(&n.answer)
		switch {
		case err != nil:
			_, _ = io.Copy(io.Discard, out)
			p.wait()
			if !errors.Is(err, io.EOF) {
				n.err = fmt.Errorf("the %s process says what is no answer: %w", p.side, err)
			} else if n.err = p.err; n.err == nil {
				n.err = fmt.Errorf("the %s process ended", p.side)
			}
			says <- n
			return
		case n.Moving:
			select {
			case moving <- struct{}{}:
			default:
			}
			continue
		case n.Error != "":
			n.err = fmt.Errorf("the %s process, told to %s: %s", p.side, n.Done, n.Error)
		}
		says <- n
	}
}

// wait waits for the end and notes what there is to say about it.
func (p *process) wait() {
	defer close(p.ended)
	err := p.cmd.Wait()
	if err == nil {
		return
	}
	p.err = fmt.Errorf("the %s process: %w", p.side, err)
	if said := p.words.String(); said != "" {
		p.err = fmt.Errorf("%w: %s", p.err, said)
	}
}

// tell gives an order.
func (p *process) tell(o order) error {
	if err := p.out.Encode(o); err != nil {
		return fmt.Errorf("tell the %s process to %s: %w", p.side, o.Do, err)
	}
	return nil
}

// end lets the process close its end, and waits for it.
func (p *process) end() error {
	p.stdin.Close()
	hung := time.AfterFunc(silence, func() { _ = p.cmd.Process.Kill() })
	defer hung.Stop()
	<-p.ended
	return p.err
}
