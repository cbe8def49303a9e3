package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"glaux/internal/engine"
	"glaux/internal/session"
)

// streamWindow is how much of one stream may wait in this process, each way:
// the sender is held back beyond it. Large enough that it is never waited for
// on one machine, small enough for a hundred clients that read slowly.
const streamWindow = 256 << 10

// idleRoute is how long the connection to a driver is kept without calls. The
// driver's server ends connections that ping it without calls.
const idleRoute = 4 * time.Minute

// While calls run a driver may pause for its garbage. A ping more often than
// every five minutes its server takes for an attack.
const (
	driverPingEvery  = 5*time.Minute + 30*time.Second
	driverPingAnswer = time.Minute
)

// routes are the connections to drivers: one per session, made when it is first
// needed and again when it broke.
type routes struct {
	sessions Sessions
	ping     pinging // of drivers

	mu sync.Mutex
	by map[session.Key]*route // guarded by mu
}

// route leads to one driver.
type route struct {
	turn    chan struct{} // capacity 1; held by who dials, and while what follows is touched
	conn    *http.ClientConn
	secret  string
	used    time.Time
	dropped bool // it is in the map no more
}

// close closes the connection, if there is one. The turn is held.
func (r *route) close() {
	if r.conn != nil {
		_ = r.conn.Close() // it is given up, whatever becomes of it
		r.conn = nil
	}
}

func newRoutes(s Sessions) *routes {
	return &routes{sessions: s, ping: pinging{driverPingEvery, driverPingAnswer}, by: make(map[session.Key]*route)}
}

// upstream is a connection to a driver that takes calls, with what each has to
// carry.
type upstream struct {
	*http.ClientConn
	secret string
}

// get returns the connection to the driver of a session, which may have to be
// made. It blocks while the driver is launched and until it is ready. The
// errors are those of the engine and of ctx.
func (r *routes) get(ctx context.Context, key session.Key) (upstream, error) {
	to, err := r.take(ctx, key)
	if err != nil {
		return upstream{}, err
	}
	defer func() { <-to.turn }()
	to.used = time.Now()
	if to.conn != nil && to.conn.Err() == nil {
		return upstream{to.conn, to.secret}, nil
	}
	to.close()
	if to.conn, to.secret, err = r.dial(ctx, key); err != nil {
		return upstream{}, err
	}
	to.used = time.Now()
	return upstream{to.conn, to.secret}, nil
}

// take returns the route of a session with its turn held.
func (r *routes) take(ctx context.Context, key session.Key) (*route, error) {
	for {
		r.mu.Lock()
		to := r.by[key]
		if to == nil {
			to = &route{turn: make(chan struct{}, 1)}
			r.by[key] = to
		}
		r.mu.Unlock()
		select {
		case to.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !to.dropped {
			return to, nil
		}
		<-to.turn
	}
}

// dial connects to the driver of a session once that is ready.
func (r *routes) dial(ctx context.Context, key session.Key) (*http.ClientConn, string, error) {
	d, err := r.sessions.Driver(ctx, key)
	if err != nil {
		return nil, "", err
	}
	if err := d.Ready(ctx); err != nil {
		return nil, "", err
	}
	keeper, ok := d.(engine.Keeper)
	if !ok {
		return nil, "", fmt.Errorf("%w: %q", engine.ErrNoSecret, engine.Connect)
	}
	secret, err := keeper.Secret(ctx, engine.Connect)
	if err != nil {
		return nil, "", err
	}
	plain := new(http.Protocols)
	plain.SetUnencryptedHTTP2(true)
	t := &http.Transport{
		Protocols:          plain,
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.Dial(ctx, engine.Connect)
		},
		MaxResponseHeaderBytes: 64 << 10,
		HTTP2: &http.HTTP2Config{
			// Of the connection as a whole nothing is held back: a stream that
			// nobody reads must not stop the others.
			MaxReceiveBufferPerStream: streamWindow,
			MaxReadFrameSize:          64 << 10,
			SendPingTimeout:           r.ping.every,
			PingTimeout:               r.ping.answer,
		},
	}
	conn, err := t.NewClientConn(ctx, "http", "driver:80")
	if err != nil {
		return nil, "", err
	}
	return conn, secret, nil
}

// sweep closes connections without calls that were not used for long, and
// forgets those that broke.
func (r *routes) sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, to := range r.by {
		select {
		case to.turn <- struct{}{}:
		default:
			continue // somebody dials
		}
		if to.conn != nil && (to.conn.Err() != nil || (to.conn.InFlight() == 0 && now.Sub(to.used) > idleRoute)) {
			to.close()
		}
		if to.conn == nil {
			to.dropped = true
			delete(r.by, key)
		}
		<-to.turn
	}
}

// closeAll closes every connection. No calls run any more.
func (r *routes) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, to := range r.by {
		to.turn <- struct{}{}
		to.close()
		to.dropped = true
		delete(r.by, key)
		<-to.turn
	}
}

// gone reports whether err says that there is no driver, and will be none.
func gone(err error) bool {
	var start *engine.StartError
	return errors.Is(err, engine.ErrGone) || errors.As(err, &start)
}
