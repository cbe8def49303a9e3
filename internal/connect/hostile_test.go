package connect

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames is an HTTP/2 client that says what no library would.
type frames struct {
	*http2.Framer
	conn    net.Conn
	encoder *hpack.Encoder
	block   bytes.Buffer
}

// newFrames begins HTTP/2 on a connection.
func newFrames(conn net.Conn) (*frames, error) {
	f := &frames{Framer: http2.NewFramer(conn, conn), conn: conn}
	f.encoder = hpack.NewEncoder(&f.block)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	return f, f.WriteSettings()
}

// open sends the head of a call.
func (f *frames) open(stream uint32, token string) error {
	f.block.Reset()
	for _, h := range [][2]string{
		{":method", "POST"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", service + "Config"},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"x-aws-proxy-auth", token},
	} {
		if err := f.encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			return err
		}
	}
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.block.Bytes(), EndHeaders: true})
}

// answer sends the head of an answer.
func (f *frames) answer(stream uint32) error {
	f.block.Reset()
	f.encoder = hpack.NewEncoder(&f.block)
	for _, h := range [][2]string{{":status", "200"}, {"content-type", "application/grpc"}} {
		if err := f.encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			return err
		}
	}
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.block.Bytes(), EndHeaders: true})
}

func (w *world) frames() *frames {
	w.tb.Helper()
	conn, err := tls.Dial("tcp", w.address, &tls.Config{RootCAs: w.roots, NextProtos: []string{"h2"}})
	if err != nil {
		w.tb.Fatal(err)
	}
	w.tb.Cleanup(func() { conn.Close() })
	f, err := newFrames(conn)
	if err != nil {
		w.tb.Fatal(err)
	}
	return f
}

func TestCallsOfOneConnectionAreBounded(t *testing.T) {
	t.Parallel()
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{ready: make(chan struct{})}) // its calls wait
	f, token := w.frames(), w.token("k")
	for n := range uint32(300) {
		if err := f.open(2*n+1, token); err != nil {
			t.Fatal(err)
		}
	}
	refused := 0
	for refused < 300-256 {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("after %d refusals: %v", refused, err)
		}
		if r, ok := frame.(*http2.RSTStreamFrame); ok {
			if r.ErrCode != http2.ErrCodeRefusedStream && r.ErrCode != http2.ErrCodeProtocol {
				t.Errorf("stream %d is ended with %v", r.StreamID, r.ErrCode)
			}
			refused++
		}
	}
}
