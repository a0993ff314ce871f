package ipcmgr_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/mem"
	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/serializer/json"
)

func TestParseConfig(t *testing.T) {
	c, err := ipcmgr.ParseConfig([]byte(`{"protocol":["mem"],"serializer":"msgpack","route":"r","sync":false,
		"max_message":10,"max_pending":20,"max_bytes":30,"signal":"SIGUSR1"}`))
	require.NoError(t, err)
	require.Equal(t, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Serializer: "msgpack", Route: "r", Sync: new(false),
		MaxMessage: 10, MaxPending: 20, MaxBytes: 30, Signal: "SIGUSR1"}, c)
	c, err = ipcmgr.ParseConfig([]byte(`{"protocol":"mem"}`))
	require.NoError(t, err)
	require.Equal(t, ipcmgr.Names{"mem"}, c.Protocol)

	// What only one of the protocols cannot do, is found out where it is taken.
	_, err = ipcmgr.ParseConfig([]byte(`{"protocol":["unixsocket","fsqueue"],"sync":true,"route":"/r"}`))
	require.NoError(t, err)

	for bad, says := range map[string][]string{
		`{"protcol":"mem"}`:                             {`"protcol"`, "known are protocol, serializer, route, sync, max_message, max_pending, max_bytes, signal"},
		`{"protocol":"carrier-pigeon"}`:                 {`unknown protocol "carrier-pigeon"`, "mem", "protocol/all"},
		`{"serializer":"xml"}`:                          {`unknown serializer "xml"`, "registered are json, msgpack"},
		`{"protocol":7}`:                                {"name or a list of names"},
		`{"max_message":-1}`:                            {"max_message is -1", "16777216"},
		`{"max_message":2000000000}`:                    {"max_message is 2000000000"},
		`{"max_pending":-1,"max_bytes":-2}`:             {"max_pending is -1", "max_bytes is -2"},
		`{"signal":"KICK"}`:                             {`unknown signal "KICK"`, "USR1"},
		`{"signal":"KILL"}`:                             {`signal "KILL": no process can handle it`, "TERM"},
		`{"signal":"sigstop"}`:                          {"no process can handle it"},
		`{"route":"r"} {}`:                              {"after top-level value"},
		`null`:                                          {"no object"},
		`[]`:                                            {"bad configuration"},
		`{"route":"r","sync":true,"route":"s"}`:         {`"route" is there twice`},
		`{"Route":"r"}`:                                 {`unknown field "Route"`},
		`{"protocol":",,"}`:                             {`unknown protocol ""`},
		`{"protocol":"mem","sync":true}`:                {"mem has no sync"},
		`{"protocol":"unixsocket","sync":true}`:         {"unixsocket has no sync"},
		`{"protocol":["unixsocket","shm"],"sync":true}`: {"unixsocket has no sync", "shm has no sync"},
		`{"protocol":"fsqueue","route":"relative"}`:     {"not absolute"},
		`{"route":"relative"}`:                          {"not absolute"},
		`{`:                                             {"bad configuration"},
	} {
		_, err := ipcmgr.ParseConfig([]byte(bad))
		for _, text := range says {
			require.ErrorContains(t, err, text, bad)
		}
	}
}

func TestConfigFromEnv(t *testing.T) {
	for _, name := range []string{ipcmgr.EnvProtocol, ipcmgr.EnvSerializer, ipcmgr.EnvRoute, ipcmgr.EnvStore} {
		t.Setenv(name, "")
	}
	c, err := ipcmgr.ConfigFromEnv()
	require.NoError(t, err)
	require.Equal(t, ipcmgr.Config{}, c)

	t.Setenv(ipcmgr.EnvProtocol, ",,")
	_, err = ipcmgr.ConfigFromEnv()
	require.ErrorContains(t, err, `unknown protocol ""`)

	t.Setenv(ipcmgr.EnvProtocol, "mem, mem")
	t.Setenv(ipcmgr.EnvSerializer, "json")
	t.Setenv(ipcmgr.EnvRoute, "r")
	c, err = ipcmgr.ConfigFromEnv()
	require.NoError(t, err)
	require.Equal(t, ipcmgr.Config{Protocol: ipcmgr.Names{"mem", "mem"}, Serializer: "json", Route: "r"}, c)

	t.Setenv(ipcmgr.EnvStore, "mem+json:r")
	c, err = ipcmgr.ConfigFromEnv()
	require.NoError(t, err)
	require.Equal(t, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Serializer: "json", Route: "r"}, c)

	for name, value := range map[string]string{ipcmgr.EnvProtocol: "other", ipcmgr.EnvSerializer: "msgpack", ipcmgr.EnvRoute: "s"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			_, err := ipcmgr.ConfigFromEnv()
			require.ErrorContains(t, err, name+" is ")
		})
	}
	t.Setenv(ipcmgr.EnvStore, "nonsense")
	_, err = ipcmgr.ConfigFromEnv()
	require.ErrorContains(t, err, ipcmgr.EnvStore)
}

// No error shows the password in a route, whatever is wrong with it.
func TestConfigErrorsAreRedacted(t *testing.T) {
	const route = "nats://user:se/c%ret@host/x"
	for _, name := range []string{ipcmgr.EnvProtocol, ipcmgr.EnvSerializer} {
		t.Setenv(name, "")
	}
	t.Setenv(ipcmgr.EnvRoute, route)
	t.Setenv(ipcmgr.EnvStore, "mem+json:r")
	_, inEnvironment := ipcmgr.ConfigFromEnv()
	_, spawned := ipcmgr.Spawn(t.Context(), ipcmgr.Config{Protocol: ipcmgr.Names{"fsqueue"}, Route: route})
	_, opened := ipcmgr.Open(t.Context(), "fsqueue+json:"+route)
	_, parsed := ipcmgr.ParseInfo("nats:" + route)
	for _, err := range []error{inEnvironment, spawned, opened, parsed} {
		require.Error(t, err)
		require.NotContains(t, err.Error(), "ret@")
		require.NotContains(t, err.Error(), "se/c")
	}
	require.NotContains(t, ipcmgr.Info{Protocol: "nats", Serializer: "json", Route: route}.Redacted(), "ret@")
}

// lame is a protocol that never works.
type lame struct{ mem.Protocol }

func (lame) Name() string  { return "lame" }
func (lame) Viable() error { return errors.New("it limps") }

// small has a largest frame.
type small struct{ mem.Protocol }

func (small) Name() string { return "small" }
func (small) Features() protocol.Features {
	f := mem.Protocol{}.Features()
	f.MaxFrame = 1 << 20
	return f
}

// The first protocol that will do is taken; protocols and serializers may be given
// as values.
func TestChoosing(t *testing.T) {
	ctx := t.Context()
	given := []protocol.Protocol{lame{}, small{}}
	s, err := ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"lame", "mem"}, Protocols: given})
	require.NoError(t, err)
	require.Equal(t, "mem", s.Info().Protocol)
	require.Equal(t, "json", s.Info().Serializer)
	require.Equal(t, ipcmgr.DefaultMaxMessage, s.MaxMessage())
	require.NoError(t, s.Close())

	_, err = ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"lame"}, Protocols: given})
	require.ErrorContains(t, err, "lame: it limps")

	s, err = ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"small"}, Protocols: given, Serializers: []serializer.Serializer{json.Serializer{}}, Serializer: "json"})
	require.NoError(t, err)
	require.Less(t, s.MaxMessage(), 1<<20)
	require.NoError(t, s.Close())
	_, err = ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"small"}, Protocols: given, MaxMessage: 1 << 20})
	require.ErrorContains(t, err, "small can carry only")

	_, err = ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Sync: new(true)})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "mem has no sync")

	// The first that can do it is taken, whichever is the first to work here.
	for _, cfg := range []ipcmgr.Config{
		{Protocol: ipcmgr.Names{"mem", "fsqueue"}, Route: t.TempDir(), Sync: new(true)},
		{Protocol: ipcmgr.Names{"unixsocket", "fsqueue"}, Route: filepath.Join(t.TempDir(), strings.Repeat("l", 100))},
	} {
		s, err = ipcmgr.Spawn(ctx, cfg)
		require.NoError(t, err)
		require.Equal(t, "fsqueue", s.Info().Protocol)
		require.NoError(t, s.Close())
	}
	_, err = ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"unixsocket"}, Route: "/tmp/" + strings.Repeat("l", 100)})
	require.ErrorContains(t, err, "bad configuration: the directory")
}
