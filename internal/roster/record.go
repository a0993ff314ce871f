package roster

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/process"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// record is what the store remembers of one id, in peers/KEY. A record that
// was read is not changed: it is shared.
type record struct {
	ID    string            `json:"id"`
	Epoch uint64            `json:"epoch"` // the last Connect's
	State state             `json:"state"`
	Since time.Time         `json:"since"`
	Until time.Time         `json:"until,omitzero"`
	PID   int               `json:"pid,omitempty"` // the holder, or the last one
	Start uint64            `json:"start,omitempty"`
	Token string            `json:"token,omitempty"` // the holder's proof of life, in procs/
	Attrs map[string]string `json:"attrs,omitempty"`
	Stats []byte            `json:"stats,omitempty"`
}

// state is a protocol.State as a word. Active is a claim: the record of a
// client that crashed says it too, and its holder's lock tells.
type state protocol.State

func (s state) MarshalText() ([]byte, error) { return []byte(protocol.State(s).String()), nil }

func (s *state) UnmarshalText(text []byte) error {
	for known := protocol.Active; known <= protocol.Gone; known++ {
		if known.String() == string(text) {
			*s = state(known)
			return nil
		}
	}
	return fmt.Errorf("%q is not a state", text)
}

func (rec *record) state() protocol.State { return protocol.State(rec.State) }

// holder is who holds the id of an active record.
func (rec *record) holder() holder {
	return holder{token: rec.Token, id: process.ID{PID: rec.PID, Start: rec.Start}}
}

// peer is the record as others see it.
func (rec *record) peer() protocol.Peer {
	return protocol.Peer{
		ID: rec.ID, PID: rec.PID, Start: rec.Start,
		State: rec.state(), Since: rec.Since, Until: rec.Until, Attrs: rec.Attrs,
	}
}

// token is the form of a name in procs/: it is read from records, and must not
// lead elsewhere.
var token = regexp.MustCompile(`^[0-9a-z-]{1,80}$`)

// maxEpoch leaves room to count on below 56 bits, in which protocols write an
// epoch. No count of Connects comes near, nor does the clock in microseconds.
const maxEpoch = 1 << 55

// decode reads the record that is said to be that of key.
func decode(key string, data []byte) (*record, error) {
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, err
	}
	switch {
	case Key(rec.ID) != key:
		return nil, fmt.Errorf("it is about %q", rec.ID)
	case rec.Epoch > maxEpoch:
		return nil, errors.New("its epoch is beyond any count")
	case rec.State == 0:
		return nil, errors.New("it has no state")
	case rec.State == state(protocol.Active) && (rec.PID <= 0 || !token.MatchString(rec.Token)):
		return nil, errors.New("it is active without a holder")
	}
	return &rec, nil
}
