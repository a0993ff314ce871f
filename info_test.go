package ipcmgr_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
)

func TestInfo(t *testing.T) {
	for text, info := range map[string]ipcmgr.Info{
		"unixsocket+msgpack:///run/user/1000/ipcmgr/x7f3": {Protocol: "unixsocket", Serializer: "msgpack", Route: "/run/user/1000/ipcmgr/x7f3"},
		"fsqueue+json:///a%20b/%C3%A9%25":                 {Protocol: "fsqueue", Serializer: "json", Route: "/a b/é%"},
		"mem+json:plain":                                  {Protocol: "mem", Serializer: "json", Route: "plain"},
		"mem+json:a%3Ab/c":                                {Protocol: "mem", Serializer: "json", Route: "a:b/c"},
		"nats+json://user:secret@localhost:4222/x":        {Protocol: "nats", Serializer: "json", Route: "nats://user:secret@localhost:4222/x"},
	} {
		got, err := ipcmgr.ParseInfo(text)
		require.NoError(t, err, text)
		require.Equal(t, info, got)
		require.Equal(t, text, info.String())
	}
	i, err := ipcmgr.ParseInfo("nats+json://user:secret@localhost:4222/x")
	require.NoError(t, err)
	require.NotContains(t, i.Redacted(), "secret")

	for _, bad := range []string{"", "x", "json:///r", "fsqueue+:///r", "+json:///r", "fsqueue+json:", "fsqueue+json://", "fsqueue+json:///%zz", "fsqueue+json:///a%00b"} {
		_, err := ipcmgr.ParseInfo(bad)
		require.ErrorContains(t, err, "protocol+serializer:///route", "%q", bad)
	}
	_, err = ipcmgr.ParseInfo("nats+json+x://user:secret@h:4222:/r")
	if err != nil {
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestInfoOfPerl(t *testing.T) {
	long := `["IPC::Manager::Client::MessageFiles","IPC::Manager::Serializer::JSON","/a \"route\""]`
	want := ipcmgr.Info{Protocol: "fsqueue", Serializer: "json", Route: `/a "route"`, Foreign: true}
	for _, text := range []string{long, ` ["MessageFiles", "JSON", "/a \"route\""]`} {
		got, err := ipcmgr.ParseInfo(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	perl, err := want.Perl()
	require.NoError(t, err)
	require.Equal(t, long, perl)
	got, err := ipcmgr.ParseInfo(`["ConnectionUnix","JSON","/r"]`)
	require.NoError(t, err)
	require.Equal(t, "unixsocket", got.Protocol)

	for bad, says := range map[string]string{
		`["MessageFiles","JSON"]`:                                "route",
		`["MessageFiles","JSON",""]`:                             "strings",
		`["SharedMem","JSON","/r"]`:                              "MessageFiles and ConnectionUnix",
		`["MessageFiles",["JSON::Zstd","level",9],"/r"]`:         "arguments",
		`["MessageFiles","IPC::Manager::Serializer::YAML","/r"]`: "JSON",
		`["MessageFiles"`:                                        "unexpected end",
	} {
		_, err := ipcmgr.ParseInfo(bad)
		require.ErrorContains(t, err, says, bad)
	}
	_, err = ipcmgr.Info{Protocol: "bbolt", Serializer: "json", Route: "/r"}.Perl()
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = ipcmgr.Info{Protocol: "fsqueue", Serializer: "msgpack", Route: "/r"}.Perl()
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

// FuzzParseInfo: what is accepted comes back the same from its own text.
func FuzzParseInfo(f *testing.F) {
	f.Add("unixsocket+msgpack:///run/user/1000/ipcmgr/x7f3")
	f.Add(`["MessageFiles","JSON","/r"]`)
	f.Add("nats+json://user:secret@localhost:4222/x")
	f.Add("mem+json:a%3Ab")
	f.Fuzz(func(t *testing.T, text string) {
		i, err := ipcmgr.ParseInfo(text)
		if err != nil {
			return
		}
		i.Foreign = false
		again, err := ipcmgr.ParseInfo(i.String())
		if err != nil || again != i {
			t.Fatalf("%q gives %+v, which is written %q and gives %+v, %v", text, i, i.String(), again, err)
		}
	})
}

// FuzzParseConfig: nothing makes it panic, and what it accepts is valid.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"protocol":["mem"],"serializer":"msgpack","route":"r","sync":false,"max_message":10,"signal":"USR1"}`))
	f.Add([]byte(`{"protocol":"mem"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ipcmgr.ParseConfig(data)
		if err == nil && c.Validate() != nil {
			t.Fatalf("%q is accepted, but %v", data, c.Validate())
		}
	})
}
