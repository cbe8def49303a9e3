package supervise

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// The relay's limits.
const (
	maxRelayed = 512             // connections at one time; more wait to be accepted
	holdFor    = 3 * time.Minute // how long a new connection waits for the server to come back
)

// relay forwards the session's loopback address to the server's socket, byte
// for byte. While the server is away new connections are held.
type relay struct {
	to    string
	slots chan struct{}
}

func newRelay(to string) *relay { return &relay{to: to, slots: make(chan struct{}, maxRelayed)} }

// serve forwards until ctx ends.
func (r *relay) serve(ctx context.Context, l net.Listener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		<-ctx.Done()
		l.Close()
	})
	for {
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		conn, err := l.Accept()
		if err != nil {
			<-r.slots
			if ctx.Err() != nil {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of files: those that are open will go
			continue
		}
		wg.Go(func() {
			defer func() { <-r.slots }()
			r.forward(ctx, conn.(*net.TCPConn))
		})
	}
}

// forward carries one connection.
func (r *relay) forward(ctx context.Context, in *net.TCPConn) {
	defer in.Close()
	out := r.dial(ctx)
	if out == nil {
		return
	}
	defer out.Close()
	stop := context.AfterFunc(ctx, func() { in.Close(); out.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := io.Copy(out, in); err != nil {
			out.Close() // broken, not ended: the other direction must not wait
			return
		}
		out.CloseWrite()
	})
	if _, err := io.Copy(in, out); err != nil {
		in.Close()
	} else {
		in.CloseWrite()
	}
	wg.Wait()
}

// dial connects to the server, waiting for it to come back; nil when it did not.
func (r *relay) dial(ctx context.Context) *net.UnixConn {
	ctx, cancel := context.WithTimeout(ctx, holdFor)
	defer cancel()
	var d net.Dialer
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		c, err := d.DialContext(ctx, "unix", r.to)
		if err == nil {
			return c.(*net.UnixConn)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}
