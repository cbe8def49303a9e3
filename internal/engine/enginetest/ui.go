package enginetest

import (
	"bufio"
	"crypto/subtle"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"glaux/internal/engine"
)

// secretHeader is what the UI of a driver asks for.
const secretHeader = "X-Glaux-Session-Secret"

// UIHandler is a Spark UI that shows one page to whoever knows the secret:
// what the fake and the test programs serve.
func UIHandler(secret string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get(secretHeader)), []byte(secret)) != 1 {
			http.Error(w, "the secret is missing", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/html;charset=utf-8")
		fmt.Fprintf(w, "<h1>Spark Jobs</h1> %s", r.URL.Path)
	})
}

// PlayUI is an OnDial of the fake that serves a UI over connections in memory,
// which end when the other side closes them.
func PlayUI(page func(secret string) http.Handler) func(engine.Key, engine.Service) (net.Conn, error) {
	return func(key engine.Key, s engine.Service) (net.Conn, error) {
		if s != engine.UI {
			return nil, engine.ErrNoReply
		}
		ours, theirs := net.Pipe()
		servePipe(theirs, page(fakeSecret(key, s)))
		return ours, nil
	}
}

// servePipe answers requests on one connection, in the background until it ends.
func servePipe(conn net.Conn, h http.Handler) {
	l := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conn <- conn
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			close(l.closed)
		}
	}}
	go func() { _ = server.Serve(l) }() // it ends with the connection
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn   chan net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, io.EOF
	}
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// showsUI checks that the UI of a driver is reached through Dial, shows its
// pages to whoever knows the secret and to nobody else.
func showsUI(b *bench) {
	d := b.prepared()
	keeper, ok := d.(engine.Keeper)
	if !ok {
		b.Fatalf("driver %T keeps no secrets", d)
	}
	secret, err := keeper.Secret(b.ctx, engine.UI)
	b.check(err, "Secret")
	get := func(secret string) (int, string) {
		b.Helper()
		conn, err := d.Dial(b.ctx, engine.UI)
		b.check(err, "Dial")
		defer conn.Close()
		r, err := http.NewRequestWithContext(b.ctx, http.MethodGet, "http://ui/jobs/", nil)
		b.check(err, "request")
		r.Header.Set(secretHeader, secret)
		b.check(r.Write(conn), "write")
		reply, err := http.ReadResponse(bufio.NewReader(conn), r)
		b.check(err, "read")
		defer reply.Body.Close()
		body, err := io.ReadAll(reply.Body)
		b.check(err, "read page")
		return reply.StatusCode, string(body)
	}
	if status, page := get(secret); status != http.StatusOK || !strings.Contains(page, "Spark Jobs") {
		b.Errorf("the UI answers %d %.200q", status, page)
	}
	for _, wrong := range []string{"", "wrong", secret + "x"} {
		if status, _ := get(wrong); status != http.StatusUnauthorized {
			b.Errorf("the UI answers %d to the secret %q", status, wrong)
		}
	}
	_, again := b.restart(d, 2)
	conn, err := again.Dial(b.ctx, engine.UI)
	b.check(err, "Dial after a restart")
	conn.Close()
	b.check(again.Stop(b.ctx), "Stop")
	_, err = again.Dial(b.ctx, engine.UI)
	b.wantErr(err, engine.ErrGone, "Dial of a driver that is gone")
}
