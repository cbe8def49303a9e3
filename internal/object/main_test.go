package object

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/ident"
)

// serverArgument makes the test binary the embedded server's process.
const serverArgument = "object-server"

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == serverArgument:
		if err := RunServer(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	case len(os.Args) > 2 && os.Args[1] == parentArgument:
		runParent(os.Args[2])
		return
	}
	os.Exit(m.Run())
}

// store is a gateway with everything behind it.
type store struct {
	url       string // of the gateway
	gateway   *Gateway
	child     *Child
	dir       string
	authority *access.Authority
	rules     *rulesDecider
}

// rulesDecider is the authority's decision, plus denials that a test sets.
type rulesDecider struct {
	next access.Decider

	mu    sync.Mutex
	deny  map[string]bool // "action resource"; guarded by mu
	asked []string        // guarded by mu
}

func (d *rulesDecider) Decide(ctx context.Context, who access.Caller, action, resource string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, action+" "+resource)
	if d.deny[action+" "+resource] {
		return fault.New(fault.Denied, "User: %s is not authorized to perform: %s on resource: %q", who.ARN, action, resource)
	}
	return d.next.Decide(ctx, who, action, resource)
}

func (d *rulesDecider) refuse(t *testing.T, what string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.deny == nil {
		d.deny = map[string]bool{}
	}
	d.deny[what] = true
	t.Cleanup(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.deny, what)
	})
}

// shortDir returns a directory whose path fits a socket's name.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "obj")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// mustChild runs an embedded server until the test ends.
func mustChild(t testing.TB, dir string) *Child {
	t.Helper()
	c, err := NewChild(ChildConfig{
		Command: []string{os.Args[0], serverArgument}, Dir: filepath.Join(dir, "objects"), SocketDir: dir,
		Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("child: %v", err)
		}
	})
	ready, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	if err := c.Ready(ready); err != nil {
		t.Fatal(err)
	}
	return c
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil { // a test that is over must not be written to
		w.t.Logf("%s", p)
	}
	return len(p), nil
}

// mustStore makes a gateway in front of an embedded server, or, if external,
// in front of the same thing reached like any S3 endpoint: over TCP, by key.
func mustStore(t testing.TB, external bool) *store {
	t.Helper()
	dir := shortDir(t)
	s := &store{child: mustChild(t, dir), dir: dir}
	up := s.child.Upstream()
	if external {
		tcp := httptest.NewServer(relay(s.child))
		t.Cleanup(tcp.Close)
		up.Dial, up.Embedded, up.Endpoint = nil, false, tcp.URL
	}
	var err error
	home := ident.Home{Partition: "aws", Region: defaultRegion, Account: defaultAccount}
	if s.authority, err = access.Open(t.Context(), access.Config{Dir: filepath.Join(dir, "keys"), Home: home}); err != nil {
		t.Fatal(err)
	}
	s.rules = &rulesDecider{next: s.authority}
	s.gateway, err = NewGateway(GatewayConfig{
		Upstream: up, Auth: s.authority, Decider: s.rules,
		Log: slog.New(slog.DiscardHandler), Hosts: []string{"glaux.test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.gateway.Close)
	front := httptest.NewServer(s.gateway)
	t.Cleanup(front.Close)
	s.url = front.URL
	return s
}

// relay passes requests to the child unchanged, as a foreign endpoint on TCP.
func relay(c *Child) http.Handler {
	transport := c.Upstream().transport()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := r.Clone(r.Context())
		out.URL.Scheme, out.URL.Host, out.RequestURI = "http", "x", ""
		res, err := transport.RoundTrip(out)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer res.Body.Close()
		for k, v := range res.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(res.StatusCode)
		if _, err := io.Copy(w, res.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
}
