package sigv4_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

// oneConn is a listener with a single connection, on which one request
// arrives. It lets a test see a request exactly as net/http's server reads it.
type oneConn struct {
	text  string
	reply bytes.Buffer
	done  chan struct{} // closed once the connection is

	mu    sync.Mutex
	taken bool // guarded by mu
	close sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	l.mu.Lock()
	first := !l.taken
	l.taken = true
	l.mu.Unlock()
	if first {
		return &conn{l: l, in: bytes.NewReader([]byte(l.text))}, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

type conn struct {
	l  *oneConn
	in io.Reader
}

func (c *conn) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *conn) Write(p []byte) (int, error)      { return c.l.reply.Write(p) }
func (c *conn) Close() error                     { c.l.close.Do(func() { close(c.l.done) }); return nil }
func (c *conn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *conn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
