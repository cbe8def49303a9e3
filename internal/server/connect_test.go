package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"glaux/internal/access"
)

// address returns what the ready file says of a part.
func (r *inTest) address(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(r.cfg.ReadyFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n"+name+"=")
	address, _, _ := strings.Cut(rest, "\n")
	return address
}

func TestConnectIsServedWithTheRootsThatEnvNames(t *testing.T) {
	t.Setenv("SSL_CERT_FILE", filepath.Join(t.TempDir(), "none"))
	c := testConfig(t, t.TempDir())
	r := mustStart(t, c)
	address := r.address(t, "connect")
	var out strings.Builder
	if err := Env(t.Context(), c, &out); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(out.String(), "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH='")
	bundle, _, _ := strings.Cut(rest, "'")
	text, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	if p := conn.ConnectionState().NegotiatedProtocol; p != "h2" {
		t.Errorf("speaks %q", p)
	}
	conn.Close()
	r.mustEnd(t)
	c.Connect.Listen = "off"
	r = mustStart(t, c)
	out.Reset()
	if err := Env(t.Context(), c, &out); err != nil || strings.Contains(out.String(), "GRPC_") || r.address(t, "connect") != "" {
		t.Errorf("not served, but told: %v, %s", err, &out)
	}
}

func TestConnectAddressThatIsTakenIsTold(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := testConfig(t, t.TempDir())
	c.Connect.Listen = taken.Addr().String()
	err = Run(t.Context(), c, new(lockedBuffer))
	if err == nil || !strings.Contains(err.Error(), "cannot serve Spark Connect on "+c.Connect.Listen) {
		t.Errorf("an address that was asked for is taken: %v", err)
	}
	_, port, err := net.SplitHostPort(c.Connect.Listen)
	if err != nil {
		t.Fatal(err)
	}
	l, why, err := listenFirst(t.Context(), port, "", "0")
	if err != nil || !errors.Is(why, syscall.EADDRINUSE) || l.Addr().String() == taken.Addr().String() {
		t.Fatalf("one of several is taken: %v, %v", why, err)
	}
	l.Close()
	if _, _, err := listenFirst(t.Context(), port); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the only one is taken: %v", err)
	}
}

func TestUrlsOfEveryAddressAreTold(t *testing.T) {
	for want, public := range map[string]string{"0.0.0.0:0": "", "127.0.0.1:0": "", ":0": "spark.example.com"} {
		var out strings.Builder
		s := &Server{cfg: Config{Connect: Connect{Listen: want, PublicHost: public}}, log: slog.New(slog.NewTextHandler(&out, nil))}
		if err := s.listenConnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.connect.Close()
		if told := strings.Contains(out.String(), "connect-public-host"); told != (want == "0.0.0.0:0") {
			t.Errorf("%s, %q: told %q", want, public, &out)
		}
	}
}

func TestPortThatConnectHadIsKept(t *testing.T) {
	p := place{data: t.TempDir()}
	if got := p.lastConnect(); got != "" {
		t.Errorf("before anything: %q", got)
	}
	if err := p.keepConnect("15443"); err != nil {
		t.Fatal(err)
	}
	if got := p.lastConnect(); got != "15443" {
		t.Errorf("kept %q", got)
	}
	if err := p.keepConnect("nonsense"); err != nil {
		t.Fatal(err)
	}
	if got := p.lastConnect(); got != "" {
		t.Errorf("nonsense is taken for a port: %q", got)
	}
}

func TestPortsOfConnect(t *testing.T) {
	for name, k := range map[string]struct {
		last string
		live int
		want []string
	}{
		"the first start":                {"", 0, []string{"443", "", "15443", "0"}},
		"nobody waits":                   {"15443", 0, []string{"443", "15443", "15443", "0"}},
		"clients know another":           {"15443", 1, []string{"15443", "443", "15443", "0"}},
		"clients know 443":               {"443", 2, []string{"443", "443", "15443", "0"}},
		"sessions of before it was kept": {"", 1, []string{"", "443", "15443", "0"}},
	} {
		if got := connectPorts(k.last, k.live); !slices.Equal(got, k.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestConnectComesBackWhereSessionsLive(t *testing.T) {
	before, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	_, port, err := net.SplitHostPort(before.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := place{data: t.TempDir()}
	if err := p.keepConnect(port); err != nil {
		t.Fatal(err)
	}
	start := func(listen string, live int) (now, told string) {
		t.Helper()
		var out strings.Builder
		s := &Server{cfg: Config{Connect: Connect{Listen: listen}}, place: p, log: slog.New(slog.NewTextHandler(&out, nil))}
		if err := errors.Join(s.listenConnect(t.Context()), s.findConnect(t.Context(), live)); err != nil {
			t.Fatal(err)
		}
		defer s.connect.Close()
		_, now, err := net.SplitHostPort(s.connect.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return now, out.String()
	}
	now, told := start("", 2)
	if now == port || strings.Count(told, "\n") != 1 || !strings.Contains(told, "not served on port "+port+" any more (another program uses it)") {
		t.Errorf("the port of before is taken: %s, told %q", now, told)
	}
	if got := p.lastConnect(); got != now {
		t.Errorf("served on %s, kept %q", now, got)
	}
	if now, told := start("127.0.0.1:0", 2); now == p.lastConnect() || told != "" {
		t.Errorf("an address was asked for: %s, told %q", now, told)
	}
	if err := p.keepConnect(port); err != nil {
		t.Fatal(err)
	}
	before.Close()
	now, told = start("", 2)
	if now != port || !strings.Contains(told, "level=INFO") || strings.Count(told, "\n") != 1 {
		t.Errorf("the port of before is free: %s and not %s, told %q", now, port, told)
	}
}

// listening is a listener that only has an address.
type listening struct {
	net.Listener
	net.TCPAddr
}

func (l *listening) Addr() net.Addr { return &l.TCPAddr }

func TestEndpointUrl(t *testing.T) {
	c := testConfig(t, t.TempDir())
	authority, err := access.Open(t.Context(), access.Config{Dir: filepath.Join(t.TempDir(), "keys")})
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]struct {
		ip      string
		port    int
		connect Connect
		want    string
	}{
		"443":                     {"127.0.0.1", 443, Connect{}, "https://localhost"},
		"another port":            {"127.0.0.1", 15443, Connect{}, "https://localhost:15443"},
		"behind a redirect":       {"127.0.0.1", 15443, Connect{PublicPort: 443}, "https://localhost"},
		"behind a load balancer":  {"0.0.0.0", 15443, Connect{PublicHost: "spark.example.com", PublicPort: 8443}, "https://spark.example.com:8443"},
		"every address":           {"0.0.0.0", 443, Connect{}, "https://localhost"},
		"an address of its own":   {"192.0.2.1", 443, Connect{}, "https://192.0.2.1"},
		"another's name":          {"192.0.2.1", 443, Connect{PublicHost: "spark.example.com"}, "https://spark.example.com"},
		"an address of version 6": {"::1", 443, Connect{}, "https://localhost"},
		"hosts of sessions":       {"127.0.0.1", 443, Connect{HostPerSession: true}, "https://key.sessions.localhost"},
		"theirs below a name":     {"0.0.0.0", 1, Connect{HostPerSession: true, PublicHost: "spark.example.com"}, "https://key.sessions.spark.example.com:1"},
	} {
		k.connect.TokenLife = 30 * time.Minute
		c.Connect = k.connect
		e := endpoints{&parts{s: &Server{cfg: c, connect: &listening{TCPAddr: net.TCPAddr{IP: net.ParseIP(k.ip), Port: k.port}}}, authority: authority}}
		url, token, expires, err := e.Endpoint(access.Caller{}, "key")
		if err != nil || url != k.want {
			t.Errorf("%s: %q, %v; want %q", name, url, err, k.want)
		}
		if g, err := authority.OpenConnectToken(token); err != nil || g.Session != "key" || !g.Expires.Equal(expires) || time.Until(expires) > 30*time.Minute {
			t.Errorf("%s: token %+v, %v", name, g, err)
		}
	}
	if _, _, _, err := (endpoints{&parts{s: &Server{}}}).Endpoint(access.Caller{}, "key"); err == nil {
		t.Error("an endpoint where none is served")
	}
}

func TestFaultsOfConnectsConfigurationAreTold(t *testing.T) {
	c := testConfig(t, t.TempDir())
	c.Connect = Connect{
		Listen: "nonsense", PublicHost: "a b", PublicPort: 70000, TLSCert: "x", TokenLife: time.Second, TokenGrace: 25 * time.Hour,
	}
	err := c.Check()
	for _, part := range []string{"nonsense", "connect-public-host", "connect-public-port", "connect-tls-key", "connect-token-life", "connect-token-grace"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not told: %v", part, err)
		}
	}
	c.Connect = Connect{Listen: "0.0.0.0:443", PublicHost: "10.0.0.1", HostPerSession: true, TokenLife: time.Hour}
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "connect-host-per-session") {
		t.Errorf("hosts in front of an address: %v", err)
	}
	c.Connect.HostPerSession = false
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}
