package connect

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
)

// sink keeps what is written to a connection, a piece for each write.
type sink struct {
	net.Conn
	pieces []string
	fails  error
}

func (s *sink) Write(p []byte) (int, error) {
	if s.fails != nil {
		return 0, s.fails
	}
	s.pieces = append(s.pieces, string(p))
	return len(p), nil
}

func (s *sink) want(t *testing.T, pieces ...string) {
	t.Helper()
	if !slices.Equal(s.pieces, pieces) {
		t.Errorf("%d pieces were sent: %.99q, want %.99q", len(s.pieces), s.pieces, pieces)
	}
}

func put(t *testing.T, o *outbox, text string) {
	t.Helper()
	if n, err := o.write([]byte(text)); n != len(text) || err != nil {
		t.Errorf("write of %q is %d, %v", text, n, err)
	}
}

func TestOutboxGathers(t *testing.T) {
	s := &sink{}
	o := &outbox{to: s, late: true} // as if somebody else were at it
	put(t, o, "a")
	s.want(t, "a")
	o.hold()
	put(t, o, "b")
	put(t, o, "c")
	s.want(t, "a")
	o.release()
	s.want(t, "a", "bc")
	put(t, o, "d")
	s.want(t, "a", "bc", "d")

	// Of two who hold, each sends what it said would follow.
	o.hold()
	o.hold()
	put(t, o, "e")
	o.release()
	put(t, o, "f")
	o.release()
	s.want(t, "a", "bc", "d", "e", "f")
}

func TestOutboxIsBounded(t *testing.T) {
	s := &sink{}
	o := &outbox{to: s, late: true} // as above
	o.hold()
	defer o.release()
	part := string(bytes.Repeat([]byte("x"), outboxSize/2))
	put(t, o, part)
	s.want(t)
	put(t, o, part)
	s.want(t, part+part)
}

func TestOutboxDoesNotKeepWhatNothingFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		o := &outbox{to: s}
		o.hold()
		for _, text := range []string{"a", "b"} { // its client has no room for more, twice
			was := slices.Clone(s.pieces)
			put(t, o, text)
			synctest.Wait()
			s.want(t, append(was, text)...)
		}
		o.release()
	})
}

func TestOutboxTellsWhatFailed(t *testing.T) {
	s := &sink{fails: net.ErrClosed}
	o := &outbox{to: s, late: true} // as above
	o.hold()
	put(t, o, "a")
	o.release()
	if _, err := o.write([]byte("b")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after a failure: %v", err)
	}
	s.want(t)
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
