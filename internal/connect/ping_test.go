package connect

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/session"
)

// pipes is a listener of connections in memory.
type pipes struct {
	next   chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.next:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// piped is a proxy in a bubble, with one client that made one call to the
// session "k".
type piped struct {
	*Server
	sessions *sessions
	meter    *tally
	client   *frames
	stop     func()
}

// keysOf are made outside bubbles, because they read files.
func keysOf(t *testing.T) *access.Authority {
	t.Helper()
	keys, err := access.Open(t.Context(), access.Config{Dir: filepath.Join(t.TempDir(), "keys"), Home: home})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// mustPipe serves the proxy in the bubble of t, in front of d.
func mustPipe(t *testing.T, keys *access.Authority, d engine.Driver, change func(*Server)) *piped {
	t.Helper()
	cert, roots := mustCertificate(t)
	p := &piped{sessions: newSessions(), meter: &tally{}}
	p.sessions.add("k", d)
	p.Server = New(Config{
		Home: home, Sessions: p.sessions, Tokens: keys, Access: keys, Meter: p.meter, Log: slog.New(slog.DiscardHandler), Hold: time.Hour,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil },
	})
	if change != nil {
		change(p.Server)
	}
	l := &pipes{next: make(chan net.Conn), closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.Run(ctx, l); err != nil {
			t.Error(err)
		}
	})
	near, far := net.Pipe()
	l.next <- far
	var err error
	p.client, err = newFrames(tls.Client(near, &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2"}}))
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := keys.ConnectToken(root, "k", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.client.open(1, token); err != nil {
		t.Fatal(err)
	}
	p.stop = func() { cancel(); running.Wait(); near.Close() }
	return p
}

// connections returns how many clients' connections there are.
func (p *piped) connections() int {
	p.meter.mu.Lock()
	defer p.meter.mu.Unlock()
	return p.meter.open
}

// pipedDriver is a driver whose connections are played frame by frame.
type pipedDriver struct {
	driver
	conns chan net.Conn
}

func (d *pipedDriver) Dial(context.Context, engine.Service) (net.Conn, error) {
	near, far := net.Pipe()
	d.conns <- far
	return near, nil
}

func (d *pipedDriver) Secret(context.Context, engine.Service) (string, error) { return "s3cret", nil }

// mustMeet begins HTTP/2 as a server on the driver's next connection.
func (d *pipedDriver) mustMeet(t *testing.T, wg *sync.WaitGroup) *heard {
	t.Helper()
	conn := <-d.conns
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(conn, preface); err != nil || string(preface) != http2.ClientPreface {
		t.Fatalf("%q, %v", preface, err)
	}
	h := (&frames{Framer: http2.NewFramer(conn, conn), conn: conn}).listen(wg)
	if err := h.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return h
}

// heard is a peer whose frames are read as they come, because a pipe has no
// buffer: so what it says waits for nobody.
type heard struct {
	*frames
	said chan http2.Frame // closed when the connection is
}

// listen reads frames until the connection ends, which wg waits for.
func (f *frames) listen(wg *sync.WaitGroup) *heard {
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h := &heard{f, make(chan http2.Frame, 100)}
	wg.Go(func() {
		defer close(h.said)
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			h.said <- frame
		}
	})
	return h
}

// mustHear waits for a frame, and answers pings on the way.
func (h *heard) mustHear(t *testing.T, wanted func(http2.Frame) bool) http2.Frame {
	t.Helper()
	for frame := range h.said {
		if wanted(frame) {
			return frame
		}
		if p, ok := frame.(*http2.PingFrame); ok && !p.IsAck() {
			if err := h.WritePing(true, p.Data); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Fatal("the connection ended")
	return nil
}

// deaf takes what comes and answers nothing, until the connection ends.
func (h *heard) deaf() {
	for range h.said { // that is all
	}
}

func isPing(frame http2.Frame) bool {
	p, ok := frame.(*http2.PingFrame)
	return ok && !p.IsAck()
}

func isReset(frame http2.Frame) bool { _, ok := frame.(*http2.RSTStreamFrame); return ok }

func isHead(frame http2.Frame) bool { _, ok := frame.(*http2.MetaHeadersFrame); return ok }

// isStatus reports whether a frame ends a call with a status.
func isStatus(frame http2.Frame) bool {
	h, ok := frame.(*http2.MetaHeadersFrame)
	return ok && h.StreamEnded()
}

func TestSilentClientIsPinged(t *testing.T) {
	t.Parallel()
	keys := keysOf(t)
	synctest.Test(t, func(t *testing.T) {
		p := mustPipe(t, keys, &driver{ready: make(chan struct{})}, nil)
		var reading sync.WaitGroup
		client := p.client.listen(&reading)
		began := time.Now()
		client.mustHear(t, isPing)
		if d := time.Since(began); d < pingEvery || d > pingEvery+time.Second {
			t.Errorf("pinged after %v", d)
		}
		time.Sleep(12 * time.Hour) // its machine would answer, it does not
		if p.connections() != 1 {
			t.Error("a client that answers no ping was dropped")
		}
		time.Sleep(pingAnswer - 12*time.Hour + time.Second)
		if p.connections() != 0 {
			t.Error("a client that answers no ping for a day was not dropped")
		}
		p.stop()
		reading.Wait()
	})
}

func TestClientThatIsDeadIsClosedTowardsBothSides(t *testing.T) {
	t.Parallel()
	keys := keysOf(t)
	synctest.Test(t, func(t *testing.T) {
		d := &pipedDriver{conns: make(chan net.Conn, 1)}
		ping := pinging{10 * time.Second, 5 * time.Second}
		p := mustPipe(t, keys, d, func(s *Server) { s.ping = ping })
		var reading, clients sync.WaitGroup
		client := p.client.listen(&clients)
		began := time.Now()
		clients.Go(client.deaf)
		up := d.mustMeet(t, &reading)
		up.mustHear(t, isHead)
		reset := up.mustHear(t, isReset).(*http2.RSTStreamFrame)
		if reset.ErrCode != http2.ErrCodeCancel {
			t.Errorf("the driver's stream is ended with %v", reset.ErrCode)
		}
		if took := time.Since(began); took < ping.every+ping.answer || took > ping.every+ping.answer+time.Second {
			t.Errorf("the driver's stream is ended after %v", took)
		}
		clients.Wait() // the client's connection is closed
		if p.connections() != 0 {
			t.Error("the client's connection is still counted")
		}
		p.stop()
		reading.Wait() // the driver's goes on until then
	})
}

func TestDriverThatIsDeadEndsItsCalls(t *testing.T) {
	t.Parallel()
	keys := keysOf(t)
	const found = driverPingEvery + driverPingAnswer
	for name, k := range map[string]struct {
		answered bool // it answered the head before it fell silent
		ended    bool // its session is found ended meanwhile
		code     string
		text     string
	}{
		"before it answered":            {false, false, "14", "the connection to the session's driver broke; try again"},
		"in the middle":                 {true, false, "14", "the connection to the session's driver broke; try again"},
		"of a session that is over":     {false, true, "9", "Session not active: "},
		"of one that is, in the middle": {true, true, "9", "Session not active: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := &pipedDriver{conns: make(chan net.Conn, 2)}
				p := mustPipe(t, keys, d, nil)
				var reading, drivers sync.WaitGroup
				client := p.client.listen(&reading)
				began := time.Now()
				up := d.mustMeet(t, &reading)
				up.mustHear(t, isHead)
				if k.answered {
					if err := up.answer(1); err != nil {
						t.Fatal(err)
					}
				}
				drivers.Go(func() {
					up.deaf() // until it is given up
					if took := time.Since(began); took < found || took > found+time.Second {
						t.Errorf("the driver is given up after %v", took)
					}
					for conn := range d.conns { // over which its life is asked for
						_, _ = io.Copy(io.Discard, conn)
					}
				})
				if k.ended {
					drivers.Go(func() {
						time.Sleep(found - 5*time.Second)
						p.sessions.end("k", session.Lost, "its driver is gone")
					})
				}
				told := map[string]string{}
				for _, h := range client.mustHear(t, isStatus).(*http2.MetaHeadersFrame).Fields {
					told[h.Name] = h.Value
				}
				if took := time.Since(began); took < found || took > found+breakWithin+time.Second {
					t.Errorf("the call ends after %v", took)
				}
				if told["grpc-status"] != k.code || !strings.HasPrefix(told["grpc-message"], k.text) {
					t.Errorf("the client is told %q, want status %s, %q", told, k.code, k.text)
				}
				drivers.Go(client.deaf)
				p.stop()
				close(d.conns)
				drivers.Wait()
				reading.Wait()
			})
		})
	}
}
