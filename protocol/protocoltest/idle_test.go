//go:build linux

package protocoltest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/mem"
	"github.com/ipcmgr/ipcmgr/protocol/protocoltest"
)

const pollerVar = "IPCMGR_PROTOCOLTEST_POLLER"

// TestPollingIsFound holds that the suite finds a client that looks for messages
// once a second instead of waiting for them.
func TestPollingIsFound(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run", "^TestPoller$/^Idle$", "-protocoltest.hang", "30s")
	cmd.Env = append(os.Environ(), pollerVar+"=1")
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || !strings.Contains(string(out), "never rested") {
		t.Errorf("the suite did not notice (%v):\n%s", err, out)
	}
}

// TestPoller runs the suite over a protocol that polls, for TestPollingIsFound.
func TestPoller(t *testing.T) {
	if os.Getenv(pollerVar) == "" {
		return
	}
	serve(t)
	protocoltest.Run(t, protocoltest.Harness{Protocol: poller{relay{mem.Protocol{}}}, Processes: true})
}

func init() { protocol.Register(poller{relay{mem.Protocol{}}}) }

type poller struct{ protocol.Protocol }

func (poller) Name() string { return "poller" }

func (p poller) Spawn(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	st, err := p.Protocol.Spawn(ctx, route, s)
	return pollingStore{st}, err
}

func (p poller) Open(ctx context.Context, route string) (protocol.Store, error) {
	st, err := p.Protocol.Open(ctx, route)
	return pollingStore{st}, err
}

type pollingStore struct{ protocol.Store }

func (s pollingStore) Connect(ctx context.Context, o protocol.ConnectOptions) (protocol.Mailbox, error) {
	m, err := s.Store.Connect(ctx, o)
	return pollingBox{m}, err
}

type pollingBox struct{ protocol.Mailbox }

func (b pollingBox) Fetch(ctx context.Context, ds []protocol.Delivery, wait bool) (int, error) {
	for {
		n, err := b.Mailbox.Fetch(ctx, ds, false)
		if n > 0 || err != nil || !wait {
			return n, err
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}
