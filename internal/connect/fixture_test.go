package connect

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/ident"
	"glaux/internal/session"
)

var home = ident.Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}

// rawCodec passes messages as bytes.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if to, ok := v.(*int); ok { // only its length is wanted
		*to = data.Len()
		return nil
	}
	*v.(*[]byte) = data.Materialize()
	return nil
}

// backend is a driver's Spark Connect server, played by grpc-go.
type backend struct {
	*grpc.Server
	path   string
	secret string
	handle func(method string, s grpc.ServerStream) error
}

func mustBackend(tb testing.TB, handle func(method string, s grpc.ServerStream) error) *backend {
	tb.Helper()
	b := &backend{path: filepath.Join(tb.TempDir(), "c.sock"), secret: "s3cret", handle: handle}
	l, err := net.Listen("unix", b.path)
	if err != nil {
		tb.Fatal(err)
	}
	b.Server = grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}), grpc.MaxRecvMsgSize(maxMessage+1<<20), grpc.MaxSendMsgSize(maxMessage+1<<20),
		grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			md, _ := metadata.FromIncomingContext(s.Context())
			if got := md.Get("x-glaux-session-secret"); len(got) != 1 || got[0] != b.secret {
				return status.Error(codes.Unauthenticated, "wrong secret")
			}
			method, _ := grpc.MethodFromServerStream(s)
			return b.handle(method, s)
		}))
	var serving sync.WaitGroup
	serving.Go(func() { _ = b.Serve(l) })
	tb.Cleanup(func() { b.Stop(); serving.Wait() })
	return b
}

// driver is an engine.Driver with the abilities the proxy uses.
type driver struct {
	engine.Driver
	b     *backend
	ready chan struct{} // nil: it is
	fault error         // of Dial
}

func (d *driver) Ready(ctx context.Context) error {
	if d.ready == nil {
		return nil
	}
	select {
	case <-d.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *driver) Dial(ctx context.Context, _ engine.Service) (net.Conn, error) {
	if d.fault != nil {
		return nil, d.fault
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", d.b.path)
	if err != nil {
		return nil, engine.ErrNoReply
	}
	return c, nil
}

func (d *driver) Secret(context.Context, engine.Service) (string, error) { return d.b.secret, nil }

// sessions plays the session manager.
type sessions struct {
	mu      sync.Mutex
	rows    map[session.Key]session.Session // guarded by mu
	drivers map[session.Key]engine.Driver   // guarded by mu
	ended   map[session.Key]chan struct{}   // guarded by mu
}

func newSessions() *sessions {
	return &sessions{rows: map[session.Key]session.Session{}, drivers: map[session.Key]engine.Driver{}, ended: map[session.Key]chan struct{}{}}
}

func (f *sessions) add(key session.Key, d engine.Driver) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows[key] = session.Session{Key: key, ID: string(key), Workgroup: "spark35", State: session.Idle}
	f.drivers[key] = d
	f.ended[key] = make(chan struct{})
}

func (f *sessions) end(key session.Key, cause session.Cause, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	row := f.rows[key]
	row.State, row.Cause, row.Reason = session.Ended, cause, reason
	f.rows[key] = row
	delete(f.drivers, key)
	close(f.ended[key])
}

// stopping has the end of a session asked for.
func (f *sessions) stopping(key session.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	row := f.rows[key]
	row.State = session.Stopping
	f.rows[key] = row
}

func (f *sessions) Session(_ context.Context, key session.Key) (session.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	row, ok := f.rows[key]
	if !ok {
		return row, session.ErrNotFound
	}
	return row, nil
}

func (f *sessions) Driver(_ context.Context, key session.Key) (engine.Driver, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.drivers[key]; d != nil {
		return d, nil
	}
	return nil, engine.ErrGone
}

func (f *sessions) AwaitEnd(ctx context.Context, key session.Key) error {
	f.mu.Lock()
	ended := f.ended[key]
	f.mu.Unlock()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tally is a Meter.
type tally struct {
	mu      sync.Mutex
	called  map[string]int  // guarded by mu; by method and code
	refused map[Refusal]int // guarded by mu
	open    int             // guarded by mu
}

func (t *tally) Called(method string, code Code, _ time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.called == nil {
		t.called = map[string]int{}
	}
	t.called[method+" "+code.String()]++
}

func (t *tally) Refused(why Refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused == nil {
		t.refused = map[Refusal]int{}
	}
	t.refused[why]++
}

func (t *tally) Connected(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open += n
}

// world is a proxy with what stands around it.
type world struct {
	tb       testing.TB
	keys     *access.Authority
	sessions *sessions
	meter    *tally
	server   *Server
	address  string
	roots    *x509.CertPool
	stop     func()
}

// mustServe serves the proxy on loopback.
func mustServe(tb testing.TB, change func(*Config)) *world {
	tb.Helper()
	keys, err := access.Open(tb.Context(), access.Config{Dir: filepath.Join(tb.TempDir(), "keys"), Home: home})
	if err != nil {
		tb.Fatal(err)
	}
	cert, roots := mustCertificate(tb)
	w := &world{tb: tb, keys: keys, sessions: newSessions(), meter: &tally{}, roots: roots}
	cfg := Config{
		Home: home, Sessions: w.sessions, Tokens: keys, Access: keys, Meter: w.meter, Log: slog.New(slog.DiscardHandler),
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil },
	}
	if change != nil {
		change(&cfg)
	}
	w.server = New(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	w.address = l.Addr().String()
	ctx, cancel := context.WithCancel(tb.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.server.Run(ctx, l); err != nil {
			tb.Error(err)
		}
	})
	w.stop = func() { cancel(); running.Wait() }
	tb.Cleanup(w.stop)
	return w
}

var root = access.Caller{Account: home.Account, ARN: "arn:aws:iam::" + home.Account + ":root", UserID: home.Account}

func (w *world) token(key session.Key) string {
	w.tb.Helper()
	token, _, err := w.keys.ConnectToken(root, string(key), time.Hour)
	if err != nil {
		w.tb.Fatal(err)
	}
	return token
}

// dial makes a client of the proxy.
func (w *world) dial(options ...grpc.DialOption) *grpc.ClientConn {
	w.tb.Helper()
	return mustDial(w.tb, "passthrough:"+w.address, append(options,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: w.roots})))...)
}

// dialAs makes a client that calls the proxy by a name.
func (w *world) dialAs(host string) *grpc.ClientConn { return w.dial(grpc.WithAuthority(host)) }

// direct makes a client of the backend itself.
func (b *backend) direct(tb testing.TB, options ...grpc.DialOption) *grpc.ClientConn {
	return mustDial(tb, "unix:"+b.path, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
}

func mustDial(tb testing.TB, target string, options ...grpc.DialOption) *grpc.ClientConn {
	tb.Helper()
	c, err := grpc.NewClient(target, append(options, grpc.WithDefaultCallOptions(
		grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(maxMessage+1<<20), grpc.MaxCallSendMsgSize(maxMessage+1<<20)))...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// with returns a context that carries metadata.
func with(ctx context.Context, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

func mustCertificate(tb testing.TB) (*tls.Certificate, *x509.CertPool) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost", "*.sessions.localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// drain reads a stream of answers to its end and returns their bytes.
func drain(s grpc.ClientStream) (int64, error) {
	var total int64
	for {
		var n int
		err := s.RecvMsg(&n)
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		total += int64(n)
	}
}
