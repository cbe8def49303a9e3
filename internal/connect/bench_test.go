package connect

import (
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
)

// results answers every call with so many messages of 4 MiB.
func results(n int) func(string, grpc.ServerStream) error {
	message := make([]byte, 4<<20)
	return func(_ string, s grpc.ServerStream) error {
		var in []byte
		if err := s.RecvMsg(&in); err != nil {
			return err
		}
		for range n {
			if err := s.SendMsg(&message); err != nil {
				return err
			}
		}
		return nil
	}
}

// one makes a call of one message, and returns how many bytes were answered.
func one(tb testing.TB, c *grpc.ClientConn, method string, in []byte, pairs ...string) (int64, error) {
	s, err := c.NewStream(with(tb.Context(), pairs...), &grpc.StreamDesc{ServerStreams: true}, service+method)
	if err != nil {
		return 0, err
	}
	if err := s.SendMsg(&in); err != nil && !errors.Is(err, io.EOF) { // it was answered already
		return 0, err
	}
	if err := s.CloseSend(); err != nil {
		return 0, err
	}
	return drain(s)
}

func BenchmarkResult(b *testing.B) {
	const each = 64
	up := mustBackend(b, results(each))
	b.Run("direct", func(b *testing.B) {
		c := up.direct(b)
		b.SetBytes(each * 4 << 20)
		for b.Loop() {
			if _, err := one(b, c, "ExecutePlan", []byte{}, "x-glaux-session-secret", up.secret); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("proxied", func(b *testing.B) {
		w := mustServe(b, nil)
		w.sessions.add("k", &driver{b: up})
		c, token := w.dial(), w.token("k")
		b.SetBytes(each * 4 << 20)
		for b.Loop() {
			if n, err := one(b, c, "ExecutePlan", []byte{}, "x-aws-proxy-auth", token); err != nil || n != each*4<<20 {
				b.Fatal(n, err)
			}
		}
	})
}

func BenchmarkCall(b *testing.B) {
	up := mustBackend(b, func(_ string, s grpc.ServerStream) error {
		var in []byte
		if err := s.RecvMsg(&in); err != nil {
			return err
		}
		return s.SendMsg(&in)
	})
	b.Run("direct", func(b *testing.B) {
		c := up.direct(b)
		for b.Loop() {
			if _, err := one(b, c, "Config", []byte{}, "x-glaux-session-secret", up.secret); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("proxied", func(b *testing.B) {
		w := mustServe(b, nil)
		w.sessions.add("k", &driver{b: up})
		c, token := w.dial(), w.token("k")
		for b.Loop() {
			if _, err := one(b, c, "Config", []byte{}, "x-aws-proxy-auth", token); err != nil {
				b.Fatal(err)
			}
		}
	})
}
