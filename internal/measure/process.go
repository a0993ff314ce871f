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
	quiet chan struct{} // closed when it has said all
}

// news is an answer of a process, or why there are no more.
type news struct {
	answer
	err error
}

// launch starts a process, tells it its part, and passes on what it says.
func launch(cmd *exec.Cmd, cpus []int, p part, says chan<- news) (*process, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startOn(cmd, cpus); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd, err)
	}
	pr := &process{side: p.Side, cmd: cmd, stdin: in, out: json.NewEncoder(in), quiet: make(chan struct{})}
	go pr.listen(json.NewDecoder(out), says)
	return pr, pr.out.Encode(p)
}

func (p *process) listen(dec *json.Decoder, says chan<- news) {
	defer close(p.quiet)
	for {
		var n news
		switch err := dec.Decode(&n.answer); {
		case errors.Is(err, io.EOF):
			n.err = fmt.Errorf("the %s process ended", p.side)
		case err != nil:
			n.err = fmt.Errorf("the %s process says what is no answer: %w", p.side, err)
		case n.Error != "":
			n.err = fmt.Errorf("the %s process, told to %s: %s", p.side, n.Done, n.Error)
			says <- n
			continue
		}
		says <- n
		if n.err != nil {
			return
		}
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
	hung := time.AfterFunc(leaveWithin+20*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer hung.Stop()
	<-p.quiet
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("the %s process: %w", p.side, err)
	}
	return nil
}
