package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Client speaks to one shim. Its methods are safe for concurrent use; each
// makes a connection of its own. They return *Error for what the shim refused
// and the connection's error when there is no shim.
type Client struct {
	Socket string
	Epoch  uint64
}

// open connects, sends the request and reads the first reply. When ctx ends
// the connection is closed under whoever uses it; done must be called.
func (c *Client) open(ctx context.Context, q Request) (conn *net.UnixConn, first Reply, done func(), err error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return nil, first, nil, err
	}
	conn = raw.(*net.UnixConn)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	done = func() { stop(); conn.Close() }
	q.Version, q.Epoch = Version, c.Epoch
	err = WriteFrame(conn, q)
	if err == nil {
		err = ReadFrame(conn, &first)
	}
	if err == nil && first.Code != "" {
		err = &Error{first.Code, first.Text, first.First}
	}
	if err != nil {
		done()
		return nil, first, nil, whyEnded(ctx, err)
	}
	return conn, first, done, nil
}

// whyEnded prefers the context's error: it closes connections.
func whyEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Do sends a request that has one reply.
func (c *Client) Do(ctx context.Context, q Request) (Reply, error) {
	_, r, done, err := c.open(ctx, q)
	if err != nil {
		return Reply{}, err
	}
	done()
	return r, nil
}

// Watch calls f with each status until the shim says that the driver is gone
// (nil), the connection breaks, or ctx ends.
func (c *Client) Watch(ctx context.Context, f func(Status)) error {
	conn, r, done, err := c.open(ctx, Request{Op: OpWatch})
	if err != nil {
		return err
	}
	defer done()
	for {
		if r.Code != "" {
			return &Error{r.Code, r.Text, r.First}
		}
		if r.Status != nil {
			f(*r.Status)
			if r.Status.Phase == PhaseGone {
				return nil
			}
		}
		r = Reply{}
		if err := ReadFrame(conn, &r); err != nil {
			return whyEnded(ctx, err)
		}
	}
}

// Output opens a cell's stream. Its end may be the stream's or the shim's; the
// cell's record tells which.
func (c *Client) Output(ctx context.Context, cell, stream string, offset int64) (io.ReadCloser, error) {
	conn, _, done, err := c.open(ctx, Request{Op: OpOutput, Cell: cell, Stream: stream, Offset: offset})
	if err != nil {
		return nil, err
	}
	return &stream1{conn, done}, nil
}

// Log opens one of the driver's streams. Its end may be the driver's or the
// shim's; the record of the driver's end tells which.
func (c *Client) Log(ctx context.Context, stream string, offset int64) (io.ReadCloser, error) {
	conn, _, done, err := c.open(ctx, Request{Op: OpLog, Stream: stream, Offset: offset})
	if err != nil {
		return nil, err
	}
	return &stream1{conn, done}, nil
}

// stream1 is the byte stream behind the first reply.
type stream1 struct {
	*net.UnixConn
	done func()
}

func (s *stream1) Close() error {
	s.done()
	return nil
}

// Dial returns a connection to a service of the driver, made by the shim.
func (c *Client) Dial(ctx context.Context, service string) (net.Conn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return nil, err
	}
	conn := raw.(*net.UnixConn)
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := WriteFrame(conn, Request{Version: Version, Epoch: c.Epoch, Op: OpDial, Service: service}); err != nil {
		return nil, whyEnded(ctx, err)
	}
	r, file, err := receive(conn)
	if err != nil {
		return nil, whyEnded(ctx, err)
	}
	if file != nil {
		defer file.Close()
	}
	switch {
	case r.Code != "":
		return nil, &Error{r.Code, r.Text, r.First}
	case file == nil:
		return nil, errors.New("cannot dial: the shim sent no socket")
	}
	got, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("cannot use the socket from the shim: %w", err)
	}
	return got, nil
}

// SendFile answers with a reply that carries an open file.
func SendFile(conn *net.UnixConn, r Reply, file *os.File) error {
	b, err := Frame(r)
	if err != nil {
		return err
	}
	_, _, err = conn.WriteMsgUnix(b, unix.UnixRights(int(file.Fd())), nil)
	return err
}

// receive reads a reply and the file that came with its first byte, if one did.
func receive(conn *net.UnixConn) (Reply, *os.File, error) {
	var r Reply
	head, control := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	n, cn, _, _, err := conn.ReadMsgUnix(head, control)
	if err != nil {
		return r, nil, err
	}
	if n == 0 {
		return r, nil, io.EOF
	}
	file, err := rights(control[:cn])
	if err != nil {
		return r, nil, err
	}
	err = ReadFrame(io.MultiReader(&one{head[0], false}, conn), &r)
	if err != nil && file != nil {
		file.Close()
		file = nil
	}
	return r, file, err
}

// rights takes the file out of a control message.
func rights(control []byte) (*os.File, error) {
	if len(control) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("cannot parse control message: %w", err)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err == nil && len(fds) > 0 {
			unix.CloseOnExec(fds[0])
			return os.NewFile(uintptr(fds[0]), "passed"), nil
		}
	}
	return nil, nil
}

// one is a reader of one byte.
type one struct {
	b    byte
	done bool
}

func (o *one) Read(p []byte) (int, error) {
	if o.done {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	p[0], o.done = o.b, true
	return 1, nil
}
