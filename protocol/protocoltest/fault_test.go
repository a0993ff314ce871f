package protocoltest_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/mem"
	"github.com/ipcmgr/ipcmgr/protocol/protocoltest"
)

// faults are mistakes that a protocol can make, each with a test of the suite
// that must find it.
var faults = map[string]string{
	"delivers twice":            "Delivery/Batches",
	"loses one of many":         "Delivery/Batches",
	"reverses a batch":          "Delivery/Batches",
	"damages a byte":            "Delivery/FetchFillsWhatItIsGiven",
	"says from another":         "Delivery/ToOneself",
	"takes any size":            "Delivery/TooLarge",
	"keeps what is rejected":    "Delivery/RejectSettles",
	"knows no limits":           "Pressure/MessagesAreLimited",
	"marks without a crash":     "Delivery/Batches",
	"does not mark":             "Crash/ReceiverIsRedelivered",
	"marks all after a crash":   "Crash/ReceiverIsRedelivered",
	"drops what is put back":    "Suspend/PutsBack",
	"gives the context's error": "Context/EndsWhatBlocks",
	"ends before it is drained": "Goodbye/UnderFire",
	"leaves twice":              "Goodbye/LeaveOnce",
	"stays if leaving fails":    "Goodbye/LeaveFails",
	"misses changes of others":  "Peers/EveryChangeIsTold",
	"forgets attributes":        "Peers/AttributesAreSeen",
	"counts no epochs":          "Connect/Left",
	"takes what is suspended":   "Connect/Suspended",
	"leaks a goroutine":         "Lifecycle/OneOwner",
	"ignores sync":              "Lifecycle/SyncIsHonouredOrRefused",
	"ignores the owner":         "Lifecycle/OneOwner",
}

const faultVar = "IPCMGR_PROTOCOLTEST_FAULT"

// TestFaults holds that the suite finds what it is there to find.
func TestFaults(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for fault, test := range faults {
		t.Run(fault, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), exe, "-test.run", "^TestFaulty$/^"+strings.Replace(test, "/", "$/^", 1)+"$", "-protocoltest.hang", "3s")
			cmd.Env = append(os.Environ(), faultVar+"="+fault)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Errorf("the suite did not notice (%v):\n%s", err, out)
			}
		})
	}
}

// TestFaulty runs the suite over mem with the fault that TestFaults asks for,
// or with none.
func TestFaulty(t *testing.T) {
	f := faulty{fault: os.Getenv(faultVar)}
	protocoltest.Run(t, protocoltest.Harness{
		Protocol: f,
		Crash: func(t testing.TB, s protocol.Store, id string) {
			if err := mem.Crash(s.Route(), id); err != nil {
				t.Error(err)
			}
		},
	})
}

type faulty struct {
	mem.Protocol
	fault string
}

func (f faulty) Spawn(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	switch f.fault {
	case "ignores sync":
		s.Sync = false
	case "knows no limits":
		s.MaxPending, s.MaxBytes = 1<<30, 1<<30
	case "leaks a goroutine":
		go func() { select {} }()
	}
	st, err := f.Protocol.Spawn(ctx, route, s)
	return faultyStore{st, f.fault}, err
}

func (f faulty) Open(ctx context.Context, route string) (protocol.Store, error) {
	st, err := f.Protocol.Open(ctx, route)
	return faultyStore{st, f.fault}, err
}

type faultyStore struct {
	protocol.Store
	fault string
}

func (s faultyStore) Settings() protocol.Settings {
	set := s.Store.Settings()
	if s.fault == "knows no limits" {
		set.MaxPending, set.MaxBytes = 16, 1<<20
	}
	return set
}

func (s faultyStore) Own(ctx context.Context, force bool) error {
	return s.Store.Own(ctx, force || s.fault == "ignores the owner")
}

func (s faultyStore) Changed(ctx context.Context, rev uint64) error {
	if s.fault == "misses changes of others" {
		_, rev, _ = s.Store.Peers(ctx)
	}
	return s.Store.Changed(ctx, rev)
}

func (s faultyStore) Connect(ctx context.Context, o protocol.ConnectOptions) (protocol.Mailbox, error) {
	if s.fault == "takes what is suspended" && o.Mode == protocol.New {
		o.Mode = protocol.Resume
	}
	m, err := s.Store.Connect(ctx, o)
	if err != nil {
		return nil, err
	}
	return &faultyBox{Mailbox: m, fault: s.fault}, nil
}

type faultyBox struct {
	protocol.Mailbox
	fault  string
	sealed bool
}

func (b *faultyBox) Epoch() uint64 {
	if b.fault == "counts no epochs" {
		return 1
	}
	return b.Mailbox.Epoch()
}

func (b *faultyBox) Deliver(ctx context.Context, to string, frames []protocol.Frame, wait bool) (int, error) {
	if len(frames) == 0 {
		return b.Mailbox.Deliver(ctx, to, frames, wait)
	}
	count := len(frames)
	fs := append([]protocol.Frame(nil), frames...)
	switch b.fault {
	case "delivers twice":
		fs = append(fs, fs[0])
	case "loses one of many":
		if count > 20 {
			fs = fs[1:]
		}
	case "reverses a batch":
		for i := range fs {
			fs[i] = frames[count-1-i]
		}
	case "damages a byte":
		if data := fs[0].Data; len(data) > 4 {
			fs[0].Data = append([]byte{data[0] ^ 1}, data[1:]...)
		}
	case "takes any size":
		for i := range fs {
			fs[i].Data = fs[i].Data[:min(len(fs[i].Data), 1<<20)]
		}
	}
	n, err := b.Mailbox.Deliver(ctx, to, fs, wait)
	if err != nil && b.fault == "gives the context's error" && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err == nil {
		n = count
	}
	return n, err
}

func (b *faultyBox) Fetch(ctx context.Context, ds []protocol.Delivery, wait bool) (int, error) {
	n, err := b.Mailbox.Fetch(ctx, ds, wait)
	for i := range ds[:n] {
		switch d := &ds[i]; b.fault {
		case "says from another":
			d.From += "x"
		case "marks without a crash":
			d.Redelivered = true
		case "does not mark":
			d.Redelivered = false
		case "marks all after a crash":
			d.Redelivered = d.Redelivered || b.Found() == protocol.Crashed
		}
	}
	if b.sealed && b.fault == "ends before it is drained" {
		return 0, io.EOF
	}
	return n, err
}

func (b *faultyBox) Seal(ctx context.Context) error {
	b.sealed = true
	return b.Mailbox.Seal(ctx)
}

func (b *faultyBox) Reject(ctx context.Context, d protocol.Delivery, reason error) error {
	if b.fault == "keeps what is rejected" {
		return nil
	}
	return b.Mailbox.Reject(ctx, d, reason)
}

func (b *faultyBox) Publish(ctx context.Context, attrs map[string]string, stats []byte) error {
	if b.fault == "forgets attributes" {
		attrs = nil
	}
	return b.Mailbox.Publish(ctx, attrs, stats)
}

func (b *faultyBox) Leave(ctx context.Context, d protocol.Departure) error {
	if b.fault == "drops what is put back" {
		b.Mailbox.Ack(ctx, d.Back)
	}
	if b.fault == "stays if leaving fails" && d.Fold != nil {
		if _, err := d.Fold(nil); err != nil {
			return err
		}
	}
	err := b.Mailbox.Leave(ctx, d)
	if b.fault == "leaves twice" && errors.Is(err, protocol.ErrClosed) {
		return nil
	}
	return err
}
