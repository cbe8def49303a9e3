package connect

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
)

// sink is a connection whose writes wait until they are let through.
type sink struct {
	net.Conn
	writes chan []byte // what each write wants to send
	pass   chan error  // what it gets
	closed chan struct{}
	once   sync.Once
	limit  atomic.Pointer[time.Time]
}

func newSink() *sink {
	return &sink{writes: make(chan []byte), pass: make(chan error), closed: make(chan struct{})}
}

func (s *sink) Write(p []byte) (int, error) {
	select {
	case s.writes <- bytes.Clone(p):
	case <-s.closed:
		return 0, net.ErrClosed
	}
	var late <-chan time.Time
	if limit := s.limit.Load(); limit != nil {
		late = time.After(time.Until(*limit))
	}
	select {
	case err := <-s.pass:
		return len(p), err
	case <-late:
		return 0, io.ErrShortWrite
	case <-s.closed:
		return 0, net.ErrClosed
	}
}

func (s *sink) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (s *sink) SetWriteDeadline(t time.Time) error { s.limit.Store(&t); return nil }

func (s *sink) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// sent lets the next write through and returns what it sends.
func (s *sink) sent() string {
	p := <-s.writes
	s.pass <- nil
	return string(p)
}

func (s *sink) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// large is what does not go at once: so many frames of a letter.
func large(letter string, frames int) string {
	return string(bytes.Repeat([]byte(letter), frames*16<<10))
}

// withOutbox runs f beside the outbox of a sink, in a bubble.
func withOutbox(t *testing.T, f func(t *testing.T, s *sink, o *outbox)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		var senders sync.WaitGroup
		f(t, s, newOutbox(s, &senders))
		s.Close()
		senders.Wait()
	})
}

func put(t *testing.T, o *outbox, text string) {
	t.Helper()
	if n, err := o.write([]byte(text)); n != len(text) || err != nil {
		t.Errorf("write of %.9q is %d, %v", text, n, err)
	}
}

func TestOutboxGathers(t *testing.T) {
	withOutbox(t, func(t *testing.T, s *sink, o *outbox) {
		go put(t, o, "small")
		if got := s.sent(); got != "small" {
			t.Errorf("sent %q", got)
		}
		synctest.Wait()
		put(t, o, large("a", 1)) // and is at once under way
		synctest.Wait()
		put(t, o, large("b", 2))
		put(t, o, "small")
		put(t, o, large("c", 1))
		if s.sent() != large("a", 1) || s.sent() != large("b", 2)+"small"+large("c", 1) {
			t.Error("what waited did not go in one piece, in its order")
		}
		synctest.Wait()
		if o.sending || o.wait != nil {
			t.Error("it is not at rest")
		}
	})
}

func TestOutboxIsBounded(t *testing.T) {
	withOutbox(t, func(t *testing.T, s *sink, o *outbox) {
		put(t, o, large("a", 1))
		synctest.Wait()
		put(t, o, large("b", 8))
		written := make(chan struct{})
		go func() { put(t, o, large("c", 1)); close(written) }()
		synctest.Wait()
		select {
		case <-written:
			t.Error("more is taken than may wait")
		default:
		}
		put(t, o, "an alert of TLS")
		s.sent()
		<-written
		if s.sent() != large("b", 8)+"an alert of TLS" || s.sent() != large("c", 1) {
			t.Error("the order is another")
		}
	})
}

func TestOutboxIsClosedBehindWhatWaits(t *testing.T) {
	withOutbox(t, func(t *testing.T, s *sink, o *outbox) {
		put(t, o, large("a", 1))
		synctest.Wait()
		put(t, o, "trailers")
		o.close()
		if _, err := o.write([]byte("more")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after close: %v", err)
		}
		if s.sent(); s.isClosed() || s.sent() != "trailers" {
			t.Error("what waited is lost")
		}
		<-s.closed
	})
}

func TestOutboxOfADeafPeerIsClosedInTime(t *testing.T) {
	withOutbox(t, func(t *testing.T, s *sink, o *outbox) {
		put(t, o, large("a", 1))
		synctest.Wait()
		put(t, o, large("b", 8))
		blocked := make(chan error, 1)
		go func() { _, err := o.write([]byte(large("c", 1))); blocked <- err }()
		synctest.Wait()
		began := time.Now()
		o.close()
		<-s.writes // and never lets it through
		if err := <-blocked; !errors.Is(err, net.ErrClosed) || time.Since(began) > 0 {
			t.Errorf("its writer got %v after %v", err, time.Since(began))
		}
		if <-s.closed; time.Since(began) > lingers {
			t.Errorf("closed after %v", time.Since(began))
		}
	})
}

func TestDroppedLinkIsClosedAtOnce(t *testing.T) {
	withOutbox(t, func(t *testing.T, s *sink, o *outbox) {
		l := newAdmission(&tally{}).enter(s)
		put(t, l.outbox, large("a", 1))
		<-s.writes // and never lets it through
		if l.drop(); !s.isClosed() {
			t.Error("it lingers")
		}
		l.admit.senders.Wait()
	})
}

func TestOutboxTellsWhatFailed(t *testing.T) {
	withOutbox(t, func(t *testing.T, s *sink, o *outbox) {
		put(t, o, large("a", 1))
		<-s.writes
		s.pass <- io.ErrUnexpectedEOF
		<-s.closed
		if _, err := o.write([]byte("b")); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after a failure: %v", err)
		}
	})
}

func TestNothingIsLostByTheEndOfTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		var senders sync.WaitGroup
		l := &link{Conn: near, outbox: newOutbox(near, &senders)}
		put(t, l.outbox, large("a", 1))
		synctest.Wait()
		put(t, l.outbox, large("b", 1))
		// As tls.Conn.Close does it.
		_ = l.SetWriteDeadline(time.Now().Add(5 * time.Second))
		put(t, l.outbox, "the alert")
		_ = l.SetWriteDeadline(time.Now())
		synctest.Wait()
		_ = l.outbox.close()
		got, err := io.ReadAll(far)
		if want := large("a", 1) + large("b", 1) + "the alert"; string(got) != want || err != nil {
			t.Errorf("%d bytes arrived, %v, of %d", len(got), err, len(want))
		}
		senders.Wait()
	})
}

func TestOutboxKeepsTheOrder(t *testing.T) {
	near, far := net.Pipe()
	var senders sync.WaitGroup
	o := newOutbox(near, &senders)
	var want bytes.Buffer
	got := make(chan []byte)
	go func() { b, _ := io.ReadAll(far); got <- b }()
	for i := range 2000 {
		p := bytes.Repeat([]byte{byte(i)}, 1+rand.IntN(12<<10))
		want.Write(p)
		if _, err := o.write(p); err != nil {
			t.Fatal(err)
		}
	}
	o.close()
	senders.Wait()
	if b := <-got; !bytes.Equal(b, want.Bytes()) {
		t.Errorf("%d bytes arrived, of %d", len(b), want.Len())
	}
}

func TestResultsPassSmallWindows(t *testing.T) {
	up := mustBackend(t, results(2))
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{b: up})
	c := w.dial(grpc.WithInitialWindowSize(1<<16), grpc.WithInitialConnWindowSize(1<<16)) // the least there is, and it stays
	n, err := one(t, c, "ExecutePlan", []byte{}, "x-aws-proxy-auth", w.token("k"))
	if want := int64(2 * 4 << 20); n != want || err != nil {
		t.Errorf("%d bytes came, %v, want %d", n, err, want)
	}
}
