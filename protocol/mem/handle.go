package mem

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// handle is one Spawn or Open of a store.
type handle struct {
	st     *store
	closed chan struct{} // closed under the store's lock
}

func newHandle(st *store) *handle {
	return &handle{st: st, closed: make(chan struct{})}
}

func (h *handle) Route() string               { return h.st.route }
func (h *handle) Settings() protocol.Settings { return h.st.settings }

// begin takes the store's lock, unless it returns why the handle is of no use.
func (h *handle) begin(ctx context.Context, op string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	h.st.mu.Lock()
	var err error
	switch {
	case h.isClosed():
		err = protocol.ErrClosed
	case h.st.unspawned:
		err = protocol.ErrNoStore
	default:
		return nil
	}
	h.st.mu.Unlock()
	return failed(op, "", err)
}

func (h *handle) isClosed() bool {
	select {
	case <-h.closed:
		return true
	default:
		return false
	}
}

func (h *handle) Connect(ctx context.Context, o protocol.ConnectOptions) (protocol.Mailbox, error) {
	if err := h.begin(ctx, "connect"); err != nil {
		return nil, err
	}
	defer h.st.mu.Unlock()
	if h.st.ending {
		return nil, failed("connect", o.ID, protocol.ErrEnding)
	}
	c := &client{h: h, id: o.ID, arrived: make(chan struct{}, 1), over: make(chan struct{})}
	if err := h.st.take(c, o.Mode, o.Attrs); err != nil {
		return nil, failed("connect", o.ID, err)
	}
	return c, nil
}

func (h *handle) Peers(ctx context.Context) ([]protocol.Peer, uint64, error) {
	if err := h.begin(ctx, "list peers"); err != nil {
		return nil, 0, err
	}
	defer h.st.mu.Unlock()
	peers := make([]protocol.Peer, 0, len(h.st.mailboxes))
	for _, id := range slices.Sorted(maps.Keys(h.st.mailboxes)) {
		peers = append(peers, h.st.mailboxes[id].peer())
	}
	return peers, h.st.rev, nil
}

func (h *handle) Changed(ctx context.Context, rev uint64) error {
	for {
		if err := h.begin(ctx, "watch peers"); err != nil {
			return err
		}
		now, moved := h.st.rev, h.st.moved
		h.st.mu.Unlock()
		if now != rev {
			return nil
		}
		select {
		case <-moved:
		case <-h.closed:
		case <-ctx.Done():
		}
	}
}

func (h *handle) Stats(ctx context.Context) (map[string][]byte, error) {
	if err := h.begin(ctx, "read statistics"); err != nil {
		return nil, err
	}
	defer h.st.mu.Unlock()
	all := map[string][]byte{}
	for id, r := range h.st.records {
		if r.stats != nil {
			all[id] = bytes.Clone(r.stats)
		}
	}
	return all, nil
}

func (h *handle) Unread(ctx context.Context, id string) (int, error) {
	if err := h.begin(ctx, "count unread"); err != nil {
		return 0, err
	}
	defer h.st.mu.Unlock()
	if b := h.st.mailboxes[id]; b != nil {
		return b.count, nil
	}
	return 0, nil
}

func (h *handle) Own(ctx context.Context, force bool) error {
	if err := h.begin(ctx, "own"); err != nil {
		return err
	}
	defer h.st.mu.Unlock()
	if o := h.st.owner; o != nil && o != h && !force {
		return failed("own", "", protocol.ErrOwned)
	}
	if h.st.owner != h {
		h.st.ending = false // the end that another owner did not live to see
	}
	h.st.owner = h
	return nil
}

func (h *handle) Owned() bool {
	h.st.mu.Lock()
	defer h.st.mu.Unlock()
	return h.st.owner == h
}

func (h *handle) Disown(ctx context.Context) error {
	if err := h.begin(ctx, "disown"); err != nil {
		return err
	}
	defer h.st.mu.Unlock()
	h.disown()
	return nil
}

func (h *handle) disown() {
	if h.st.owner == h {
		h.st.owner = nil
	}
}

func (h *handle) End(ctx context.Context) error {
	if err := h.begin(ctx, "end"); err != nil {
		return err
	}
	defer h.st.mu.Unlock()
	h.st.ending = true
	return nil
}

func (h *handle) Unspawn(ctx context.Context) error {
	tableMu.Lock()
	defer tableMu.Unlock()
	if err := h.begin(ctx, "unspawn"); err != nil {
		return err
	}
	defer h.st.mu.Unlock()
	delete(table, h.st.route)
	h.st.unspawn()
	return nil
}

func (h *handle) Close() error {
	h.st.mu.Lock()
	defer h.st.mu.Unlock()
	if h.isClosed() {
		return nil
	}
	close(h.closed)
	h.disown()
	for _, b := range h.st.mailboxes {
		if b.holder != nil && b.holder.h == h {
			b.crash()
		}
	}
	return nil
}
