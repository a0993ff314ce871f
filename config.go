package ipcmgr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// The limits of a store whose Config does not name them.
const (
	DefaultMaxMessage = 16 << 20
	DefaultMaxPending = 65536
	DefaultMaxBytes   = 64 << 20
)

// MaxHeaders is how many bytes the keys and values of a message's headers may
// have together.
const MaxHeaders = 16 << 10

// envelopeRoom is what a frame may have beyond its content: two ids and
// headers, each byte of which may be escaped sixfold.
const envelopeRoom = 128 << 10

// Config says what store to make. The zero value is a temporary store of the
// one registered protocol, or of fsqueue when several are, and likewise of
// json. It comes from a literal, from JSON (ParseConfig) or from the
// environment (ConfigFromEnv).
type Config struct {
	// Protocol lists protocols by name; the first is taken that is viable and
	// fits the rest of the Config.
	Protocol Names `json:"protocol,omitempty"`
	// Serializer is how messages are written.
	Serializer string `json:"serializer,omitempty"`
	// Route is where the store is: an absolute directory for a protocol on
	// files, a name for mem. Empty: a temporary store.
	Route string `json:"route,omitempty"`
	// Sync makes a Send return when the message would survive a power cut.
	// nil: only for a store with a route of its own whose protocol can.
	Sync *bool `json:"sync,omitempty"`
	// MaxMessage is the largest content of a message, encoded, in bytes.
	MaxMessage int `json:"max_message,omitempty"`
	// MaxPending is how many unacknowledged messages a mailbox holds before it
	// is full. It is soft: one batch of each sender may exceed it.
	MaxPending int `json:"max_pending,omitempty"`
	// MaxBytes is the same in bytes. It is raised to what one message needs.
	MaxBytes int `json:"max_bytes,omitempty"`
	// Signal is sent once to every other process with an active client when
	// the store is shut down: "TERM", "USR1", …, one that a process can
	// handle. Empty: none.
	Signal string `json:"signal,omitempty"`

	// Protocols and Serializers are used before the registered ones, for what
	// does not register itself.
	Protocols   []protocol.Protocol     `json:"-"`
	Serializers []serializer.Serializer `json:"-"`
}

// Names is a list of names; in JSON one name may stand for a list of one.
type Names []string

// UnmarshalJSON reads a string or a list of strings.
func (n *Names) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*n = splitNames(one)
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return errors.New("protocol must be a name or a list of names")
	}
	*n = many
	return nil
}

// splitNames splits at commas. What stands between two of them is a name, even
// if it is none.
func splitNames(s string) []string {
	if s == "" {
		return nil
	}
	names := strings.Split(s, ",")
	for n := range names {
		names[n] = strings.TrimSpace(names[n])
	}
	return names
}

// ParseConfig reads a Config from a JSON object. A field that is not known is an
// error that lists those that are, and so is one that stands there twice.
func ParseConfig(data []byte) (Config, error) {
	var c Config
	err := json.Unmarshal(data, &c)
	if err == nil {
		err = checkFields(data)
	}
	if err != nil {
		return Config{}, fmt.Errorf("bad configuration: %w", err)
	}
	return c, c.Validate()
}

// checkFields says which field of a value is none of a Config's, or comes again.
func checkFields(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if begin, err := dec.Token(); err != nil || begin != json.Delim('{') {
		return errors.Join(errors.New("it is no object"), err)
	}
	known, seen := configFields(), map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		field, _ := token.(string)
		switch {
		case !slices.Contains(known, field):
			return fmt.Errorf("unknown field %q (known are %s)", field, strings.Join(known, ", "))
		case seen[field]:
			return fmt.Errorf("the field %q is there twice", field)
		}
		seen[field] = true
		if err := dec.Decode(new(json.RawMessage)); err != nil {
			return err
		}
	}
	return nil
}

func configFields() []string {
	var names []string
	for f := range reflect.TypeFor[Config]().Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// The environment variables that ConfigFromEnv and Open read.
const (
	EnvProtocol   = "IPCMGR_PROTOCOL"   // one name, or several with commas
	EnvSerializer = "IPCMGR_SERIALIZER" // a name
	EnvRoute      = "IPCMGR_ROUTE"      // a route
	EnvStore      = "IPCMGR_STORE"      // an info, which says all three
)

// ConfigFromEnv reads a Config from the environment variables IPCMGR_PROTOCOL,
// IPCMGR_SERIALIZER and IPCMGR_ROUTE, or from the info in IPCMGR_STORE. One of
// the three that contradicts the info is an error.
func ConfigFromEnv() (Config, error) {
	c := Config{
		Protocol:   splitNames(os.Getenv(EnvProtocol)),
		Serializer: os.Getenv(EnvSerializer),
		Route:      os.Getenv(EnvRoute),
	}
	store := os.Getenv(EnvStore)
	if store == "" {
		return c, c.Validate()
	}
	i, err := ParseInfo(store)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", EnvStore, err)
	}
	conflict := func(name, value string) (Config, error) {
		return Config{}, fmt.Errorf("%s is %q, but %s is %s: unset one of them", name, value, EnvStore, i.Redacted())
	}
	switch {
	case len(c.Protocol) > 0 && !slices.Contains(c.Protocol, i.Protocol):
		return conflict(EnvProtocol, strings.Join(c.Protocol, ","))
	case c.Serializer != "" && c.Serializer != i.Serializer:
		return conflict(EnvSerializer, c.Serializer)
	case c.Route != "" && c.Route != i.Route:
		return conflict(EnvRoute, redact(c.Route))
	}
	c.Protocol, c.Serializer, c.Route = Names{i.Protocol}, i.Serializer, i.Route
	return c, c.Validate()
}

// Validate says what is wrong with a Config, or nil: also that none of its
// protocols could make such a store. Spawn and Adopt call it, and find out what
// depends on the machine.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	for _, name := range c.Protocol {
		if _, err := c.protocol(name); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		errs = append(errs, c.unfit())
	}
	if c.Serializer != "" {
		if _, err := c.serializer(c.Serializer); err != nil {
			errs = append(errs, err)
		}
	}
	check(c.MaxMessage >= 0 && c.MaxMessage <= 1<<30, "max_message is %d: it must be from 1 to %d bytes, or 0 for %d", c.MaxMessage, 1<<30, DefaultMaxMessage)
	check(c.MaxPending >= 0, "max_pending is %d: it must be positive, or 0 for %d", c.MaxPending, DefaultMaxPending)
	check(c.MaxBytes >= 0, "max_bytes is %d: it must be positive, or 0 for %d", c.MaxBytes, DefaultMaxBytes)
	if c.Signal != "" {
		if _, err := signalNamed(c.Signal); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("bad configuration: %w", err)
	}
	return nil
}

// unfit says why none of the protocols could make the store, whichever is viable.
func (c *Config) unfit() error {
	var why []error
	for _, name := range c.names() {
		p, err := c.protocol(name)
		if err != nil { // the default, and it is not there yet
			return nil
		}
		if err = c.fits(p); err == nil {
			return nil
		}
		why = append(why, err)
	}
	return errors.Join(why...)
}

// fits says why a protocol could not make the store, or nil.
func (c *Config) fits(p protocol.Protocol) error {
	_, err := c.settings(p, c.Serializer)
	if r, ok := p.(protocol.RouteChecker); ok && c.Route != "" {
		err = errors.Join(err, r.CheckRoute(c.Route))
	}
	return err
}

// settings are what the store records of the Config.
func (c *Config) settings(p protocol.Protocol, ser string) (protocol.Settings, error) {
	f := p.Features()
	s := protocol.Settings{
		Serializer: ser,
		MaxFrame:   orDefault(c.MaxMessage, DefaultMaxMessage) + envelopeRoom,
		MaxPending: orDefault(c.MaxPending, DefaultMaxPending),
		Temporary:  c.Route == "",
	}
	s.MaxBytes = max(orDefault(c.MaxBytes, DefaultMaxBytes), s.MaxFrame)
	if f.MaxFrame > 0 && s.MaxFrame > f.MaxFrame {
		if c.MaxMessage > 0 {
			return s, fmt.Errorf("max_message is %d, but %s can carry only %d bytes", c.MaxMessage, p.Name(), f.MaxFrame-envelopeRoom)
		}
		s.MaxFrame = f.MaxFrame
	}
	s.Sync = f.Syncs && !s.Temporary
	if c.Sync != nil {
		if *c.Sync && !f.Syncs {
			return s, fmt.Errorf("%w: %s has no sync: leave it out, or choose a protocol that has it", errors.ErrUnsupported, p.Name())
		}
		s.Sync = *c.Sync
	}
	return s, nil
}

func orDefault(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}

func (c *Config) protocol(name string) (protocol.Protocol, error) {
	for _, p := range c.Protocols {
		if p.Name() == name {
			return p, nil
		}
	}
	return protocol.Get(name)
}

func (c *Config) serializer(name string) (serializer.Serializer, error) {
	for _, s := range c.Serializers {
		if s.Name() == name {
			return s, nil
		}
	}
	return serializer.Get(name)
}

// names lists the protocols to choose from.
func (c *Config) names() Names {
	if len(c.Protocol) > 0 {
		return c.Protocol
	}
	return Names{only(c.Protocols, protocol.Names(), protocol.Protocol.Name, "fsqueue")}
}

// choose returns the first viable protocol that can do what is asked for, and
// the serializer.
func (c *Config) choose() (protocol.Protocol, serializer.Serializer, error) {
	var reasons []error
	for _, name := range c.names() {
		p, err := c.protocol(name)
		if err != nil {
			return nil, nil, err
		}
		if err := errors.Join(p.Viable(), c.fits(p)); err != nil {
			reasons = append(reasons, fmt.Errorf("%s: %w", name, err))
			continue
		}
		ser := c.Serializer
		if ser == "" {
			ser = only(c.Serializers, serializer.Names(), serializer.Serializer.Name, "json")
		}
		s, err := c.serializer(ser)
		return p, s, err
	}
	return nil, nil, fmt.Errorf("no protocol will do here: %w", errors.Join(reasons...))
}

// only returns the one name there is to choose, else the default.
func only[T any](given []T, registered []string, name func(T) string, def string) string {
	if len(given) == 1 && len(registered) == 0 {
		return name(given[0])
	}
	if len(given) == 0 && len(registered) == 1 {
		return registered[0]
	}
	return def
}
