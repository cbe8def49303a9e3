package ui

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"glaux/internal/engine"
)

// Hosts are the hosts of sessions' UIs: one for each, <key>.<name>, so that no
// session's page can read another's or act as our own.
type Hosts struct {
	scheme, name, port string // port is empty for the scheme's own
}

// ParseHosts takes apart the URL under which browsers reach the UIs, such as
// http://ui.localhost:4580: a session's key stands in front of its host.
func ParseHosts(base string) (Hosts, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return Hosts{}, fmt.Errorf("cannot use the URL of UIs %q: %w", base, err)
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", net.ParseIP(u.Hostname()) != nil:
		return Hosts{}, fmt.Errorf("cannot use the URL of UIs %q: it must be http or https with a name, to which names of sessions are added", base)
	case strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.Fragment != "", u.User != nil:
		return Hosts{}, fmt.Errorf("cannot use the URL of UIs %q: it is scheme, host and port alone", base)
	}
	return Hosts{scheme: u.Scheme, name: strings.ToLower(u.Hostname()), port: u.Port()}, nil
}

// URL returns the address of a session's UI, without a slash at its end.
func (h Hosts) URL(key engine.Key) string {
	host := string(key) + "." + h.name
	if h.port != "" {
		host = net.JoinHostPort(host, h.port)
	}
	return h.scheme + "://" + host
}

// secure reports whether browsers reach the UIs over TLS.
func (h Hosts) secure() bool { return h.scheme == "https" }

// Match reports whether a Host header names a UI, and of which session; the
// key is empty when it can be none.
func (h Hosts) Match(header string) (key engine.Key, ok bool) {
	host := header
	if name, _, err := net.SplitHostPort(header); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == h.name {
		return "", true
	}
	label, ok := strings.CutSuffix(host, "."+h.name)
	if !ok {
		return "", false
	}
	if !keyForm(label) {
		return "", true
	}
	return engine.Key(label), true
}

// keyForm reports whether a label of a host can be the key of a session: a
// UUID in lower case.
func keyForm(label string) bool {
	if len(label) != 36 {
		return false
	}
	for i, c := range []byte(label) {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f':
		default:
			return false
		}
	}
	return true
}
