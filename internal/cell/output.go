package cell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/session"
)

// Object is one object to write.
type Object struct {
	URI         string // s3://bucket/key; the key is not normalised
	ContentType string
	Size        int64     // bytes that Body yields
	Body        io.Reader // an io.ReadSeeker when small; read once, not closed
	Encryption  string    // SSE_S3, SSE_KMS, …; empty: none asked for
	KMSKey      string    // empty: the service's own

	Session session.Key     // whose result it is
	Role    access.Executor // in whose name it is written
}

// RefusedError says that an object store will not take an object.
type RefusedError struct {
	Why string // for people, such as "the bucket does not exist"
	Err error
}

// Error says why.
func (e *RefusedError) Error() string { return e.Why + ": " + e.Err.Error() }

// Unwrap returns what the store said.
func (e *RefusedError) Unwrap() error { return e.Err }

// Stretch is a stream of known length.
type Stretch struct {
	io.Reader
	io.Closer
	Size int64
}

// Open reads the first size bytes of a stream of an ended cell; fewer are an
// error, so that nothing short is kept.
func Open(ctx context.Context, r engine.Runner, id engine.CellID, s engine.Stream, size int64) (Stretch, error) {
	if size <= 0 || r == nil {
		return Stretch{Reader: bytes.NewReader(nil), Closer: io.NopCloser(nil)}, nil
	}
	out, err := r.Output(ctx, id, s, 0)
	if err != nil {
		return Stretch{}, fmt.Errorf("cannot read %s of cell %q: %w", s, id, err)
	}
	return Stretch{Reader: &exactly{out, size}, Closer: out, Size: size}, nil
}

// exactly reads n bytes.
type exactly struct {
	r io.Reader
	n int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.n <= 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.n)])
	e.n -= int64(n)
	if errors.Is(err, io.EOF) {
		if e.n > 0 {
			return n, io.ErrUnexpectedEOF
		}
		err = nil
	}
	return n, err
}

// Then is s with more bytes behind it.
func (s Stretch) Then(tail []byte) Stretch {
	if len(tail) > 0 {
		s.Reader = io.MultiReader(s.Reader, bytes.NewReader(tail))
		s.Size += int64(len(tail))
	}
	return s
}

// After is s with more bytes in front of it.
func (s Stretch) After(head []byte) Stretch {
	s.Reader = io.MultiReader(bytes.NewReader(head), s.Reader)
	s.Size += int64(len(head))
	return s
}
