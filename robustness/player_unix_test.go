//go:build unix

package robustness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ipcmgr/ipcmgr"
)

// part is what a player of a crash test is to do. It comes in the environment.
type part struct {
	ID       string
	Life     int
	Slot     int    // in the status page
	Dir      string // of the journals and the status page
	Config   ipcmgr.Config
	Seed     uint64
	To       []string // whom it sends to
	Receives bool
	Rests    bool // leaves now and then, and returns
}

const partEnv = "IPCMGR_ROBUSTNESS_PART"

// The lines that a player is told.
const (
	sayQuiet = "quiet" // send no more
	sayLeave = "leave" // disconnect and end
)

var (
	errQuiet = errors.New("told to be quiet")
	errLeave = errors.New("told to leave")
)

func init() {
	roles["player"] = func() error { return perform((*player).run) }
	roles["owner"] = func() error { return perform((*player).own) }
}

// player is one process of a crash test: one client, that sends, receives, or
// does both.
type player struct {
	part
	keeps  bool // the protocol keeps the mailbox of who is killed
	store  *ipcmgr.Store
	client ipcmgr.Client
	j      *journal
	left   hand // connects and sends
	right  hand // receives

	sendCtx    context.Context // ends with sayQuiet
	receiveCtx context.Context // ends with sayLeave
}

func perform(run func(*player) error) error {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	p := &player{}
	err := json.Unmarshal([]byte(os.Getenv(partEnv)), &p.part)
	if err != nil {
		return err
	}
	shared, err := openStatus(p.Dir + "/status")
	if err != nil {
		return err
	}
	for n, h := range []*hand{&p.left, &p.right} {
		*h = hand{shared.word(p.Slot, n), rand.New(rand.NewPCG(p.Seed, uint64(p.Life*hands+n)))}
	}
	if p.j, err = openJournal(p.Dir, p.ID); err != nil {
		return err
	}
	p.listen()
	fmt.Println("begun")
	if err := run(p); err != nil {
		return fmt.Errorf("%s in its life %d: %w", p.ID, p.Life, err)
	}
	return nil
}

// listen carries out what the director says. The player ends with it.
func (p *player) listen() {
	sendCtx, quiet := context.WithCancelCause(context.Background())
	receiveCtx, leave := context.WithCancelCause(context.Background())
	p.sendCtx, p.receiveCtx = sendCtx, receiveCtx
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			switch in.Text() {
			case sayQuiet:
				quiet(errQuiet)
			case sayLeave:
				leave(errLeave)
			}
		}
		os.Exit(3)
	}()
}

func (p *player) run() error {
	err := p.left.at(connecting, func() (err error) {
		if p.store, err = ipcmgr.OpenConfig(context.Background(), p.Config); err != nil {
			return err
		}
		p.keeps = p.store.Features().Redelivers
		return p.connect(ipcmgr.Resume())
	})
	if err != nil {
		return err
	}
	if err := p.j.write("up", p.Life, now()); err != nil {
		return err
	}
	var both errgroup.Group
	both.Go(p.sendAll)
	if p.Receives {
		both.Go(p.receiveAll)
	}
	if err := both.Wait(); err != nil {
		return err
	}
	<-p.receiveCtx.Done()
	return errors.Join(p.disconnect(p.left), p.store.Close())
}

func (p *player) connect(opts ...ipcmgr.ConnectOption) (err error) {
	if p.manual() {
		opts = append(opts, ipcmgr.ManualAck())
	}
	p.client, err = p.store.Connect(context.Background(), p.ID, opts...)
	return err
}

// manual says whether the player acknowledges each message itself in this
// life.
func (p *player) manual() bool { return p.Life%2 == 0 }

// disconnect takes in everything that was accepted.
func (p *player) disconnect(h hand) error {
	return h.at(disconnecting, func() error {
		return p.client.Disconnect(context.Background(), p.handle)
	})
}

// rest leaves and returns, now and then.
func (p *player) rest(h hand) error {
	if !p.Rests || h.rand.IntN(100) > 0 {
		return nil
	}
	p.j.note("rest", p.Life, now())
	if p.keeps && h.rand.IntN(2) == 0 {
		err := h.at(suspending, func() error { return p.client.Suspend(context.Background(), time.Time{}) })
		if err != nil {
			return err
		}
		return h.at(connecting, func() error { return p.connect(ipcmgr.Resume()) })
	}
	if err := p.disconnect(h); err != nil {
		return err
	}
	return h.at(connecting, func() error { return p.connect() })
}

// publish tells others something new, now and then.
func (p *player) publish(h hand) error {
	if h.rand.IntN(50) > 0 {
		return nil
	}
	return h.at(publishing, func() error {
		if h.rand.IntN(2) == 0 {
			return p.client.WriteStats(context.Background())
		}
		return p.client.SetAttrs(context.Background(), map[string]string{"life": fmt.Sprint(p.Life)})
	})
}
