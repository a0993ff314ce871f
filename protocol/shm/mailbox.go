//go:build linux && !ipcmgr_fallback

package shm

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// mailbox is one connected client.
type mailbox struct {
	store  *store
	id     string
	box    string // its directory
	entry  *roster.Entry
	notice func(error)
	aside  corrupt.Place
	keeper *gate.Keeper
	lobby  *gate.Lobby
	marks  marks
	peers  peers

	frameLimit, msgLimit, byteLimit int

	life     sync.Mutex // guards the end of all
	freed    bool
	left     atomic.Bool
	fetching sync.Mutex   // held by Fetch
	waiting  sync.RWMutex // held shared by who waits for room, and by Reject

	spin spin // belongs to Fetch

	mu     sync.Mutex // guards the rest
	inbox  inbox
	sealed bool
}

func (s *store) newMailbox(o protocol.ConnectOptions) *mailbox {
	set := s.Settings()
	m := &mailbox{
		store: s, id: o.ID, notice: func(error) {},
		frameLimit: min(limit(set.MaxFrame), maxFrame),
		msgLimit:   limit(set.MaxPending), byteLimit: limit(set.MaxBytes),
		inbox: inbox{chains: map[string]*chain{}, slots: map[slot][]*chain{}, byIndex: map[uint64]*inlet{}},
	}
	m.peers.byID, m.peers.life = map[string]*peer{}, rand.Uint32()
	if o.Notice != nil {
		m.notice = func(err error) { o.Notice(fmt.Errorf("%s: %s: %w", Name, o.ID, err)) }
	}
	return m
}

// limit is a setting, or none if it is 0.
func limit(set int) int {
	if set <= 0 {
		return math.MaxInt
	}
	return set
}

// Epoch counts the Connects of this id, from 1.
func (m *mailbox) Epoch() uint64 { return m.entry.Epoch }

// Found says what stood under the id before this Connect.
func (m *mailbox) Found() protocol.State { return m.entry.Found }

// Left is what stood on the id's record before this Connect.
func (m *mailbox) Left() (map[string]string, []byte) { return m.entry.Attrs, m.entry.Stats }

// Publish replaces what others see of this client.
func (m *mailbox) Publish(ctx context.Context, attrs map[string]string, stats []byte) error {
	return m.entry.Publish(ctx, attrs, stats)
}
