package supervise

import (
	"context"
	"net"
	"time"
)

// unservedError says why the JVM serves no Spark Connect, and never will.
type unservedError string

func (e unservedError) Error() string { return string(e) }

// serveWithin bounds the wait for a JVM that has just become ready, and serves
// Spark Connect a moment after that.
const serveWithin = 10 * time.Second

// dialConnect connects to Spark Connect, waiting for it to be served.
func (s *Supervisor) dialConnect(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	timer := time.NewTimer(serveWithin)
	defer timer.Stop()
	for {
		s.mu.Lock()
		wait, why, changed := !s.served && s.exit == nil, s.unserved, s.changed
		s.mu.Unlock()
		if why != "" {
			return nil, unservedError(why)
		}
		conn, err := d.DialContext(ctx, "unix", s.spec.Connect)
		if err == nil || !wait {
			return conn, err
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
