package ipcmgr

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Info says where a store is and how to use it: what one process hands to
// another. Its text form is a URL such as
// unixsocket+msgpack:///run/user/1000/ipcmgr/x7f3k2aa.
type Info struct {
	Protocol   string
	Serializer string
	Route      string
	// Foreign is set when the info came in the form of Perl's IPC::Manager:
	// Open then takes part in a store that a Perl program made.
	Foreign bool
}

// String gives the URL that ParseInfo reads.
func (i Info) String() string { return i.format(i.Route) }

// Redacted gives the URL for people and logs, without a password.
func (i Info) Redacted() string { return i.format(redact(i.Route)) }

func (i Info) format(route string) string {
	scheme := i.Protocol + "+" + i.Serializer + ":"
	if _, rest, ok := strings.Cut(route, "://"); ok { // a server's URL
		return scheme + "//" + rest
	}
	if strings.HasPrefix(route, "/") {
		return scheme + "//" + escape(route)
	}
	return scheme + escape(route)
}

// escape keeps a route readable and makes every byte of it come back.
func escape(route string) string {
	parts := strings.Split(route, "/")
	for n, p := range parts {
		parts[n] = strings.ReplaceAll(url.PathEscape(p), ":", "%3A")
	}
	return strings.Join(parts, "/")
}

// ParseInfo reads an info: a URL, or the JSON array that Perl's IPC::Manager
// hands to its children.
func ParseInfo(s string) (Info, error) {
	if strings.HasPrefix(strings.TrimSpace(s), "[") {
		return parsePerlInfo(s)
	}
	bad := func(why string) (Info, error) {
		return Info{}, fmt.Errorf("bad store info %q: %s (it looks like protocol+serializer:///route)", redact(s), why)
	}
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok {
		return bad("there is no ':'")
	}
	proto, ser, ok := strings.Cut(scheme, "+")
	if !ok || proto == "" || ser == "" {
		return bad("the part before ':' is not protocol+serializer")
	}
	if rest == "" || rest == "//" {
		return bad("the route is empty")
	}
	i := Info{Protocol: proto, Serializer: ser}
	if server, ok := strings.CutPrefix(rest, "//"); ok && server[0] != '/' {
		i.Route = proto + "://" + server
		return i, nil
	}
	route, err := url.PathUnescape(strings.TrimPrefix(rest, "//"))
	if err != nil {
		return bad(err.Error())
	}
	if strings.ContainsRune(route, 0) {
		return bad("the route contains a NUL byte")
	}
	i.Route = route
	return i, nil
}

// password is that in the URL of a server, with all that could still belong to
// it: what is no URL is not to show it either.
var password = regexp.MustCompile(`(?s)(://[^/?#:@]*):.*@`)

// redact hides a password in what may be the URL of a server.
func redact(s string) string { return password.ReplaceAllString(s, "$1:xxxxx@") }

// Perl's names for what we share with it.
const perlPrefix = "IPC::Manager::"

var perlProtocols = map[string]string{"MessageFiles": "fsqueue", "ConnectionUnix": "unixsocket"}

func parsePerlInfo(s string) (Info, error) {
	bad := func(why string) (Info, error) {
		return Info{}, fmt.Errorf("bad store info %q: %s", redact(s), why)
	}
	var parts []json.RawMessage
	if err := json.Unmarshal([]byte(s), &parts); err != nil {
		return bad(err.Error())
	}
	if len(parts) != 3 {
		return bad(`it is not ["protocol class", "serializer class", "route"]`)
	}
	var client, ser, route string
	if json.Unmarshal(parts[0], &client) != nil || json.Unmarshal(parts[2], &route) != nil || route == "" {
		return bad("protocol and route must be strings")
	}
	if json.Unmarshal(parts[1], &ser) != nil {
		return bad("a serializer with arguments is not supported; use JSON")
	}
	proto, ok := perlProtocols[strings.TrimPrefix(client, perlPrefix+"Client::")]
	if !ok {
		return bad("only MessageFiles and ConnectionUnix are shared with Perl")
	}
	if strings.TrimPrefix(ser, perlPrefix+"Serializer::") != "JSON" {
		return bad("only the serializer JSON is shared with Perl")
	}
	return Info{Protocol: proto, Serializer: "json", Route: route, Foreign: true}, nil
}

// Perl gives the info in the form that Perl's IPC::Manager reads. It is an
// error, which matches errors.ErrUnsupported, for a store that Perl cannot use.
func (i Info) Perl() (string, error) {
	for class, proto := range perlProtocols {
		if proto != i.Protocol || i.Serializer != "json" {
			continue
		}
		b, err := json.Marshal([]string{perlPrefix + "Client::" + class, perlPrefix + "Serializer::JSON", i.Route})
		return string(b), err
	}
	return "", fmt.Errorf("%w: Perl's IPC::Manager shares fsqueue+json and unixsocket+json, not %s+%s",
		errors.ErrUnsupported, i.Protocol, i.Serializer)
}
