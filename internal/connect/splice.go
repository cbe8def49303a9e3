package connect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// maxMessage is the longest message that Spark Connect takes, bytes.
const maxMessage = 128 << 20

// What is wrong with a request.
var (
	errCompressed = errors.New("compressed messages are not taken here: send them without compression")
	errTooLong    = fmt.Errorf("message is longer than %d bytes", maxMessage)
	errMalformed  = errors.New("message is malformed")
)

// splicer reads a request's stream of gRPC messages and writes the caller's
// identity over the claimed one: all requests of Spark Connect hold a
// user_context as field 2, and of a field that is repeated the later one wins.
// So it raises each message's length and puts one more user_context behind its
// last byte, while the message passes through.
//
// For that the message has to end where a field ends: one whose last field
// claims bytes that are not there would swallow what is put behind it. The
// top-level fields are walked through, and a message that is cut short is
// refused before it is complete, so that the driver never acts on it.
type splicer struct {
	src     io.Reader
	suffix  []byte // one field user_context
	head    [5]byte
	pending []byte // to be read before anything else
	left    int    // bytes of the current message that are still to come
	inside  bool   // a message has begun
	walk    walker
	failed  atomic.Pointer[error] // why the request was refused
	touched atomic.Bool           // something of src may have been read
}

// newSplicer returns a reader of src with identity as the user of each message.
func newSplicer(src io.Reader, identity []byte) *splicer {
	return &splicer{src: src, suffix: identity}
}

// identity encodes a field user_context of an id and a name. The id must not
// hold a comma, because Spark makes a job tag of it.
func identity(id, name string) []byte {
	var context []byte
	for i, text := range []string{id, name} {
		context = append(context, byte(i+1)<<3|lengthPrefixed)
		context = binary.AppendUvarint(context, uint64(len(text)))
		context = append(context, text...)
	}
	field := append([]byte{2<<3 | lengthPrefixed}, binary.AppendUvarint(nil, uint64(len(context)))...)
	return append(field, context...)
}

// refusal returns why the request was refused; nil: it was not.
func (s *splicer) refusal() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *splicer) refuse(err error) error {
	s.failed.Store(&err)
	return err
}

// Read returns as much as is there after what it has to wait for.
func (s *splicer) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(s.pending) > 0 {
			m := copy(p[n:], s.pending)
			s.pending = s.pending[m:]
			n += m
			if s.inside || len(s.pending) > 0 {
				continue // what follows belongs to the same message
			}
			return n, nil
		}
		if !s.inside {
			if err := s.begin(); err != nil {
				return n, err
			}
			continue
		}
		m, err := s.src.Read(p[n:min(len(p), n+s.left)])
		if bad := s.walk.feed(p[n : n+m]); bad != nil {
			return 0, s.refuse(bad)
		}
		s.left -= m
		n += m
		if s.left == 0 {
			if !s.walk.between() {
				return 0, s.refuse(errMalformed)
			}
			s.pending, s.inside = s.suffix, false
			n += s.drain(p[n:])
			return n, nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return n, io.ErrUnexpectedEOF
		case err != nil || m > 0:
			return n, err
		}
	}
	return n, nil
}

func (s *splicer) drain(p []byte) int {
	m := copy(p, s.pending)
	s.pending = s.pending[m:]
	return m
}

// begin reads the head of a message. io.EOF: there is none.
func (s *splicer) begin() error {
	if _, err := io.ReadFull(s.src, s.head[:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(s.head[1:])
	switch {
	case s.head[0] == 1:
		return s.refuse(errCompressed)
	case s.head[0] != 0:
		return s.refuse(errMalformed)
	case length > maxMessage:
		return s.refuse(errTooLong)
	}
	binary.BigEndian.PutUint32(s.head[1:], length+uint32(len(s.suffix)))
	s.walk = walker{left: int(length)}
	s.left = int(length)
	s.pending, s.inside = s.head[:], true
	if length == 0 {
		s.pending, s.inside = append(s.head[:], s.suffix...), false
	}
	return nil
}

// attempt is a splicer as the body of one attempt to send a call.
type attempt struct {
	*splicer
	src io.Closer // of the splicer

	mu     sync.Mutex
	closed bool // guarded by mu
}

// Read is the splicer's while the attempt goes on.
func (a *attempt) Read(p []byte) (int, error) {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	a.touched.Store(true)
	a.mu.Unlock()
	return a.splicer.Read(p)
}

// Close ends a Read that waits for the client: the attempt is not over before,
// and the client may wait for its end. What nobody has begun to read is left to
// another attempt.
func (a *attempt) Close() error {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	if a.touched.Load() {
		return a.src.Close()
	}
	return nil
}

// Wire types of protobuf. Groups are not among what Spark Connect uses, and
// end where the reader says, so messages with one are refused.
const (
	varint         = 0
	fixed64        = 1
	lengthPrefixed = 2
	fixed32        = 5
)

// walker goes through the top-level fields of one message, of which any part
// may come at a time. Every reader must see the same fields: where protobuf's
// readers are lenient in ways that differ, it refuses.
type walker struct {
	left  int // bytes of the message that are still to come
	state walk
	value uint64 // the number being read
	shift uint   // bits of it that were read
	skip  int    // bytes of the current field to pass over
}

// walk is what comes next.
type walk uint8

const (
	atTag walk = iota
	inTag
	inVarint
	inLength
	inSkip
)

// between reports whether the message may end here.
func (w *walker) between() bool { return w.state == atTag }

// feed takes the next bytes of the message, which are no more than are left.
func (w *walker) feed(b []byte) error {
	for len(b) > 0 {
		if w.state == inSkip {
			n := min(w.skip, len(b))
			b, w.skip, w.left = b[n:], w.skip-n, w.left-n
			if w.skip == 0 {
				w.state = atTag
			}
			continue
		}
		c := b[0]
		b, w.left = b[1:], w.left-1
		if w.state == atTag {
			w.state, w.value, w.shift = inTag, 0, 0
		}
		if w.shift == 63 && c > 1 {
			return errMalformed // more than 64 bits
		}
		w.value |= uint64(c&0x7f) << w.shift
		w.shift += 7
		if c >= 0x80 {
			continue
		}
		if err := w.number(); err != nil {
			return err
		}
	}
	return nil
}

// number acts on a number that was read to its end.
func (w *walker) number() error {
	switch w.state {
	case inVarint:
		w.state = atTag
		return nil
	case inLength:
		return w.pass(w.value)
	case atTag, inSkip: // no numbers are read there
	case inTag:
		if w.value > 1<<32-1 || w.value>>3 == 0 {
			return errMalformed
		}
		kind := w.value & 7
		w.value, w.shift = 0, 0
		switch kind {
		case varint:
			w.state = inVarint
			return nil
		case fixed64:
			return w.pass(8)
		case fixed32:
			return w.pass(4)
		case lengthPrefixed:
			w.state = inLength
			return nil
		}
	}
	return errMalformed
}

// pass begins to pass over n bytes, which must be there.
func (w *walker) pass(n uint64) error {
	if n > uint64(w.left) {
		return errMalformed
	}
	w.skip, w.state = int(n), inSkip
	if n == 0 {
		w.state = atTag
	}
	return nil
}
