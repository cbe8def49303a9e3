package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Spool keeps one stream of a cell in a file, up to a limit; what comes after
// is counted and dropped, and a last line says so. It never blocks its writer
// on a reader and holds nothing in memory. Safe for concurrent use.
type Spool struct {
	path  string
	limit int64

	mu      sync.Mutex // guards what follows
	file    *os.File   // nil until the first byte, and once closed
	size    int64
	dropped int64
	closed  bool
	changed chan struct{}
}

// NewSpool makes a spool in the file path, which appears with the first byte.
func NewSpool(path string, limit int64) *Spool {
	return &Spool{path: path, limit: limit, changed: make(chan struct{})}
}

// Write keeps what fits. It never fails: what the disk refuses is counted as
// dropped, since a cell's output must not stop the cell.
func (s *Spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return len(p), nil
	}
	keep := p[:max(0, min(int64(len(p)), s.limit-s.size))]
	n := s.appendLocked(keep)
	s.size += int64(n)
	s.dropped += int64(len(p) - n)
	if n > 0 {
		s.tellLocked()
	}
	return len(p), nil
}

func (s *Spool) appendLocked(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	if s.file == nil {
		f, err := os.OpenFile(s.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return 0
		}
		s.file = f
	}
	n, _ := s.file.Write(p)
	return max(0, n)
}

// Line keeps a whole line or drops all of it.
func (s *Spool) Line(p []byte) {
	s.mu.Lock()
	fits := !s.closed && s.size+int64(len(p)) <= s.limit
	if !fits && !s.closed {
		s.dropped += int64(len(p))
	}
	s.mu.Unlock()
	if fits {
		_, _ = s.Write(p) // never fails
	}
}

// Drop counts bytes that were dropped elsewhere.
func (s *Spool) Drop(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped += n
}

// Close ends the stream: with mark, a line that tells of dropped bytes is its
// last. It returns the final size, that line included, and the dropped bytes.
func (s *Spool) Close(mark bool) (size, dropped int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.size, s.dropped
	}
	if mark && s.dropped > 0 {
		s.size += int64(s.appendLocked(fmt.Appendf(nil, "\n[output truncated: %d more bytes were dropped]\n", s.dropped)))
	}
	s.closed = true
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
	s.tellLocked()
	return s.size, s.dropped
}

func (s *Spool) tellLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Follow copies the stream from offset on to w, as it grows, and returns nil
// at its end.
func (s *Spool) Follow(ctx context.Context, offset int64, w io.Writer) error {
	var f *os.File
	defer func() { f.Close() }() // legal on nil
	for {
		s.mu.Lock()
		size, closed, changed := s.size, s.closed, s.changed
		s.mu.Unlock()
		if offset < size {
			if f == nil {
				var err error
				if f, err = os.Open(s.path); err != nil {
					return fmt.Errorf("cannot open spool: %w", err)
				}
			}
			n, err := io.Copy(w, io.NewSectionReader(f, offset, size-offset))
			offset += n
			if err != nil {
				return err
			}
			if n == 0 {
				return errors.New("cannot read spool: it is shorter than it was")
			}
			continue
		}
		if closed {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
