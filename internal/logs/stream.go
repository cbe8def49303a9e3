package logs

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// stream is one stream's directory: stream.json, its segments, and the mark as
// it was when the last segment was sealed.
type stream struct {
	name    string
	id      string // name of its directory
	dir     string
	created time.Time
	disk    *atomic.Int64 // of the store

	mu       sync.Mutex
	gone     bool              // deleted; guarded by mu, like all below
	opened   bool              // segments are known
	segments []span            // in the order of their numbers; only the last can be open
	blocks   map[int64][]block // of segments, by their number
	next     int64             // number of the next segment
	mark     string
	lastSeq  int64
}

// streamFile is stream.json.
type streamFile struct {
	Name    string
	Created int64 // milliseconds
}

const (
	streamMeta = "stream.json"
	markFile   = "mark"
	newPrefix  = ".new-" // of files that are being written
)

// openLocked finds the segments. The tail of the last one, which a kill may
// have cut short, is read and repaired.
func (s *stream) openLocked() error {
	if s.opened {
		return nil
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("cannot read log stream %q: %w", s.name, err)
	}
	mark, err := os.ReadFile(filepath.Join(s.dir, markFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot read the mark of log stream %q: %w", s.name, err)
	}
	s.segments, s.blocks, s.next, s.mark = nil, map[int64][]block{}, 1, string(mark)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), newPrefix) { // a kill left it
			os.Remove(filepath.Join(s.dir, e.Name()))
		}
		if seg, ok := parseSpan(e.Name()); ok {
			s.segments = append(s.segments, seg)
		}
	}
	slices.SortFunc(s.segments, func(a, b span) int { return cmp.Compare(a.number, b.number) })
	for i := range s.segments {
		seg := &s.segments[i]
		if !seg.sealed {
			if err := s.readOpenLocked(seg); err != nil {
				return err
			}
		}
		s.next, s.lastSeq = seg.number+1, max(s.lastSeq, seg.seq)
	}
	s.disk.Add(s.sizeLocked())
	s.opened = true
	return nil
}

// readOpenLocked reads the open segment for what its name does not say, and
// cuts away a record that a kill has cut short.
func (s *stream) readOpenLocked(seg *span) error {
	f, err := os.OpenFile(filepath.Join(s.dir, seg.name()), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("cannot open a segment of log stream %q: %w", s.name, err)
	}
	defer f.Close()
	r := newSegmentReader(f)
	for {
		rec, err := r.next()
		if errors.Is(err, errTorn) {
			err = f.Truncate(r.at)
			if err == nil {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot repair log stream %q: %w", s.name, err)
		}
		seg.add(rec, r.at-seg.size)
		s.blocks[seg.number] = addBlock(s.blocks[seg.number], rec, r.at)
		s.noteLocked(rec)
	}
}

// noteLocked remembers what the last record says of the whole stream.
func (s *stream) noteLocked(r *record) {
	s.lastSeq = max(s.lastSeq, r.seq+int64(r.count)-1)
	if len(r.mark) > 0 {
		s.mark = string(r.mark)
	}
}

// appendLocked writes one record.
func (s *stream) appendLocked(encoded []byte, rec *record) error {
	if n := len(s.segments); n == 0 || s.segments[n-1].sealed {
		s.segments = append(s.segments, emptySpan(s.next))
		s.next++
	}
	seg := &s.segments[len(s.segments)-1]
	path := filepath.Join(s.dir, seg.name())
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("cannot append to log stream %q: %w", s.name, err)
	}
	_, err = f.WriteAt(encoded, seg.size)
	if err != nil {
		// Nothing of it may stay: the next record belongs there.
		err = errors.Join(err, f.Truncate(seg.size))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot append to log stream %q: %w", s.name, err)
	}
	seg.add(rec, int64(len(encoded)))
	s.blocks[seg.number] = addBlock(s.blocks[seg.number], rec, seg.size)
	s.disk.Add(int64(len(encoded)))
	s.noteLocked(rec)
	if seg.size >= segmentSize {
		return s.sealLocked()
	}
	return nil
}

// sealLocked ends the last segment: its name says from now on what it holds.
func (s *stream) sealLocked() error {
	n := len(s.segments)
	if n == 0 || s.segments[n-1].sealed {
		return nil
	}
	if s.mark != "" {
		if err := writeFile(filepath.Join(s.dir, markFile), []byte(s.mark)); err != nil {
			return fmt.Errorf("cannot keep the mark of log stream %q: %w", s.name, err)
		}
	}
	seg := s.segments[n-1]
	seg.sealed = true
	if err := os.Rename(filepath.Join(s.dir, s.segments[n-1].name()), filepath.Join(s.dir, seg.name())); err != nil {
		return fmt.Errorf("cannot seal a segment of log stream %q: %w", s.name, err)
	}
	s.segments[n-1] = seg
	return nil
}

// dropLocked removes the sealed segment with the number and returns what that
// freed.
func (s *stream) dropLocked(number int64) (int64, error) {
	i := slices.IndexFunc(s.segments, func(x span) bool { return x.number == number })
	if i < 0 || !s.segments[i].sealed {
		return 0, nil
	}
	if err := os.Remove(filepath.Join(s.dir, s.segments[i].name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("cannot drop a segment of log stream %q: %w", s.name, err)
	}
	freed := s.segments[i].size
	s.disk.Add(-freed)
	s.segments = slices.Delete(s.segments, i, i+1)
	delete(s.blocks, number)
	return freed, nil
}

// spans returns what the segments hold, for a read.
func (s *stream) spans() ([]span, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, nil
	}
	if err := s.openLocked(); err != nil {
		return nil, err
	}
	return slices.Clone(s.segments), nil
}

// openSegment opens a segment's file for reading.
func (s *stream) openSegment(seg *span) (*os.File, error) {
	f, err := os.Open(filepath.Join(s.dir, seg.name()))
	if err != nil {
		return nil, fmt.Errorf("cannot open a segment of log stream %q: %w", s.name, err)
	}
	return f, nil
}

// info is the stream's metadata; events before from have expired.
func (s *stream) info(from int64) (Stream, error) {
	out := Stream{Name: s.name, Created: s.created}
	all, err := s.spans()
	if err != nil {
		return out, err
	}
	first, last, ingested := farFuture, -farFuture, int64(0)
	for _, seg := range all {
		if seg.events > 0 && seg.max >= from {
			first, last, ingested = min(first, max(seg.min, from)), max(last, seg.max), max(ingested, seg.ingested)
		}
	}
	if first <= last {
		out.First, out.Last, out.LastIngested = fromMillis(first), fromMillis(last), fromMillis(ingested)
	}
	return out, nil
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// writeFile replaces a file atomically and durably.
func writeFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), newPrefix+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is there after the rename
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// writeJSON replaces a file by a JSON text.
func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFile(path, text)
}
