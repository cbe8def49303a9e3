package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"glaux/internal/shim"
)

// Limits of a journal.
const (
	// journalFiles is how many files a journal spreads what it keeps over.
	journalFiles = 16
	// journalDefault is how many bytes a journal keeps when the spec does not say.
	journalDefault = 128 << 20
	// longestLine is how much of a line is held until it ends; a longer one is
	// cut into parts.
	longestLine = 256 << 10
)

// Journal keeps one output stream of the driver: lines, each with the time at
// which it came, in the form that package shim describes. It keeps the newest
// of them up to a limit, in files that are named by the offset in the stream
// at which they begin. It never blocks its writers on a reader and holds
// nothing in memory but lines that have not ended. Safe for concurrent use.
type Journal struct {
	dir, name string
	limit     int64

	mu      sync.Mutex // guards what follows
	file    *os.File   // the newest; nil until the first byte, and once closed
	starts  []int64    // of the files that are kept, oldest first
	size    int64      // of the stream, from its very beginning
	lost    int64      // bytes that the disk refused
	closed  bool
	changed chan struct{}
}

// NewJournal makes a journal in dir, of which the names of the files begin
// with name, that keeps about limit bytes. The files appear with the first line.
func NewJournal(dir, name string, limit int64) *Journal {
	if limit <= 0 {
		limit = journalDefault
	}
	return &Journal{dir: dir, name: name, limit: limit, changed: make(chan struct{})}
}

// append writes whole records.
func (j *Journal) append(records []byte) {
	if len(records) == 0 {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	if n := len(j.starts); j.file != nil && j.size-j.starts[n-1] >= max(1, j.limit/journalFiles) {
		j.file.Close()
		j.file = nil
	}
	if j.file == nil && !j.openLocked() {
		j.lost += int64(len(records))
		return
	}
	n, err := j.file.Write(records)
	if err != nil && n > 0 { // no half record
		at := j.size - j.starts[len(j.starts)-1]
		if j.file.Truncate(at) == nil {
			n = 0
		}
	}
	if n < len(records) {
		j.lost += int64(len(records) - n)
	}
	j.size += int64(max(0, n))
	j.trimLocked()
	j.tellLocked()
}

// openLocked begins a file. What the disk refused before is its first line.
func (j *Journal) openLocked() bool {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return false
	}
	f, err := os.OpenFile(filepath.Join(j.dir, journalFile(j.name, j.size)), os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0o600)
	if err != nil {
		return false
	}
	j.file = f
	if n := len(j.starts); n == 0 || j.starts[n-1] != j.size {
		j.starts = append(j.starts, j.size)
	}
	if j.lost > 0 {
		n, err := f.Write(fmt.Appendf(nil, "%d %c%c [%d bytes of the log are missing: the disk refused them]\n", time.Now().UnixMilli(), shim.FromShim, shim.WholeLine, j.lost))
		j.size += int64(max(0, n))
		if err == nil {
			j.lost = 0
		}
	}
	return true
}

// trimLocked drops the oldest files beyond the limit.
func (j *Journal) trimLocked() {
	for len(j.starts) > 1 && j.size-j.starts[1] >= j.limit {
		_ = os.Remove(filepath.Join(j.dir, journalFile(j.name, j.starts[0]))) // with the directory, at the latest
		j.starts = j.starts[1:]
	}
}

func (j *Journal) tellLocked() {
	close(j.changed)
	j.changed = make(chan struct{})
}

// reset forgets what was written so far: the stream's beginning is now.
// Nobody reads it yet.
func (j *Journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		j.file.Close()
		j.file = nil
	}
	for _, start := range j.starts {
		_ = os.Remove(filepath.Join(j.dir, journalFile(j.name, start))) // written over, at the latest
	}
	j.starts, j.size, j.lost = nil, 0, 0
	j.tellLocked()
}

// Close ends the stream. Its writers were closed before.
func (j *Journal) Close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	j.closed = true
	if j.file != nil {
		j.file.Close()
		j.file = nil
	}
	j.tellLocked()
}

// TrimmedError says that a stream is no longer kept from where it was asked for.
type TrimmedError struct{ First int64 } // offset of what is kept

func (e *TrimmedError) Error() string {
	return fmt.Sprintf("the log is kept from offset %d on", e.First)
}

// Follow copies the stream from offset on to w, as it grows, and returns nil
// at its end, or a *TrimmedError once what it would copy next has been dropped.
func (j *Journal) Follow(ctx context.Context, offset int64, w io.Writer) error {
	for {
		j.mu.Lock()
		starts, size, closed, changed := slices.Clone(j.starts), j.size, j.closed, j.changed
		j.mu.Unlock()
		if offset < size {
			err := copyFrom(w, j.dir, j.name, starts, &offset, size)
			if errors.Is(err, fs.ErrNotExist) { // dropped since
				continue
			}
			if err != nil {
				return err
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

// First returns the offset from which the stream is kept.
func (j *Journal) First() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.starts) == 0 {
		return j.size
	}
	return j.starts[0]
}

// copyFrom copies from one file, up to its end or size, and moves offset.
func copyFrom(w io.Writer, dir, name string, starts []int64, offset *int64, size int64) error {
	i, found := slices.BinarySearch(starts, *offset)
	if !found {
		i--
	}
	if i < 0 {
		first := size
		if len(starts) > 0 {
			first = starts[0]
		}
		return &TrimmedError{First: first}
	}
	end := size
	if i+1 < len(starts) {
		end = starts[i+1]
	}
	f, err := os.Open(filepath.Join(dir, journalFile(name, starts[i])))
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(w, io.NewSectionReader(f, *offset-starts[i], end-*offset))
	*offset += n
	if err == nil && n == 0 {
		err = errors.New("cannot read the log: it is shorter than it was")
	}
	return err
}

func journalFile(name string, start int64) string { return fmt.Sprintf("%s.%020d", name, start) }

// OpenJournal reads what is kept of a stream that nobody writes any more, from
// offset on. It fails with a *TrimmedError where that begins later.
func OpenJournal(dir, name string, offset int64) (io.ReadCloser, error) {
	r := &journalReader{dir: dir, name: name, at: offset}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil // nothing was ever written
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the log: %w", err)
	}
	for _, e := range entries { // sorted by name, so by offset
		digits, ok := strings.CutPrefix(e.Name(), name+".")
		start, err := strconv.ParseInt(digits, 10, 64)
		if !ok || err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("cannot read the log: %w", err)
		}
		r.starts, r.size = append(r.starts, start), start+info.Size()
	}
	if len(r.starts) > 0 && offset < r.starts[0] {
		return nil, &TrimmedError{First: r.starts[0]}
	}
	return r, nil
}

// journalReader reads files that do not change.
type journalReader struct {
	dir, name string
	starts    []int64
	size, at  int64
	file      *os.File // holds the byte at; nil: to be opened
	end       int64    // of file, in the stream
}

// Read reads from one file at a time.
func (r *journalReader) Read(p []byte) (int, error) {
	if r.at >= r.size {
		return 0, io.EOF
	}
	if r.file == nil {
		i, found := slices.BinarySearch(r.starts, r.at)
		if !found {
			i--
		}
		if r.end = r.size; i+1 < len(r.starts) {
			r.end = r.starts[i+1]
		}
		f, err := os.Open(filepath.Join(r.dir, journalFile(r.name, r.starts[i])))
		if err != nil {
			return 0, err
		}
		if r.file = f; r.at > r.starts[i] {
			if _, err := f.Seek(r.at-r.starts[i], io.SeekStart); err != nil {
				return 0, err
			}
		}
	}
	n, err := r.file.Read(p[:min(int64(len(p)), r.end-r.at)])
	if r.at += int64(n); r.at >= r.end {
		r.file.Close()
		r.file = nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // it was longer a moment ago
	}
	return n, err
}

// Close closes the file.
func (r *journalReader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// journalWriter cuts what one process writes into the lines of a journal.
type journalWriter struct {
	j    *Journal
	from byte // shim.FromJVM or shim.FromPython

	mu   sync.Mutex // guards part
	part []byte     // the line that has not ended
}

// Write never fails: a driver must not stop for its log.
func (w *journalWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	stamp := strconv.AppendInt(nil, time.Now().UnixMilli(), 10)
	var out []byte
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte{'\n'})
		if ended && len(w.part)+len(line) <= longestLine {
			out = w.record(out, stamp, shim.WholeLine, w.part, line)
			w.part, p = w.part[:0], rest
			continue
		}
		room := longestLine - len(w.part)
		if len(line) < room { // not ended
			w.part = append(w.part, line...)
			break
		}
		out = w.record(out, stamp, shim.PartOfLine, w.part, line[:room])
		w.part, p = w.part[:0], p[room:]
	}
	w.j.append(out)
	return n, nil
}

// record appends one record to out.
func (w *journalWriter) record(out, stamp []byte, kind byte, a, b []byte) []byte {
	out = append(append(out, stamp...), ' ', w.from, kind, ' ')
	return append(append(append(out, a...), b...), '\n')
}

// Close writes down a line that has not ended. Writing may go on after it.
func (w *journalWriter) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.part) > 0 {
		w.j.append(w.record(nil, strconv.AppendInt(nil, time.Now().UnixMilli(), 10), shim.WholeLine, w.part, nil))
		w.part = w.part[:0]
	}
}

// tee is a cell's stream that the journal gets the beginning of too.
type tee struct {
	spool *Spool
	log   io.Writer
	cell  string

	left int64 // bytes the journal still gets; only the pump that writes touches what is here
	open bool  // its last line has not ended
}

// teeLimit is how many bytes of each stream of a cell the driver's log has.
const teeLimit = 1 << 20

// Write never fails.
func (t *tee) Write(p []byte) (int, error) {
	_, _ = t.spool.Write(p) // never fails
	if t.left > 0 {
		some := p
		if int64(len(p)) > t.left {
			some = p[:bytes.LastIndexByte(p[:t.left], '\n')+1] // half a line could be half a secret
			t.left = 0
		}
		_, _ = t.log.Write(some) // never fails
		if len(some) > 0 {
			t.open = some[len(some)-1] != '\n'
		}
		if t.left = max(0, t.left-int64(len(some))); t.left == 0 {
			if t.open {
				_, _ = io.WriteString(t.log, "\n")
			}
			_, _ = fmt.Fprintf(t.log, "[what calculation %s writes further is in its result only]\n", t.cell)
		}
	}
	return len(p), nil
}
