package logs

import (
	"io"
	"os"
	"slices"
)

// block is a run of records in a segment with the event times in it, so that
// a read can pass over what it does not touch. Blocks are kept in memory, some
// 64 a segment: those of an open segment as it grows, those of a sealed one
// from the first read that went all through it.
type block struct {
	from, to int64 // offsets in the file
	min, max int64 // event times in milliseconds; no events: min > max
}

// blockSize is when a new block begins.
const blockSize = 64 << 10

// addBlock counts a record of a segment that ends at the offset.
func addBlock(blocks []block, r *record, end int64) []block {
	n := len(blocks)
	if n == 0 || blocks[n-1].to-blocks[n-1].from >= blockSize {
		from := int64(0)
		if n > 0 {
			from = blocks[n-1].to
		}
		blocks = append(blocks, block{from: from, min: farFuture, max: -farFuture})
		n++
	}
	b := &blocks[n-1]
	b.to = end
	if r.count > 0 {
		b.min, b.max = min(b.min, r.min), max(b.max, r.max)
	}
	return blocks
}

// segment opens a segment by its number, whatever its name is by now, and
// returns its blocks too; none are known yet if there are none. A nil file:
// it has been dropped.
func (s *stream) segment(number int64) (*os.File, []block, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.segments {
		if s.segments[i].number == number && !s.gone {
			f, err := s.openSegment(&s.segments[i])
			return f, slices.Clone(s.blocks[number]), err
		}
	}
	return nil, nil, nil
}

// learn keeps the blocks of a segment that was read all through.
func (s *stream) learn(number int64, blocks []block) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := slices.ContainsFunc(s.segments, func(x span) bool { return x.number == number })
	if known && s.blocks[number] == nil {
		s.blocks[number] = blocks
	}
}

// section reads the records of a part of a segment.
func section(f *os.File, from, to int64) *segmentReader {
	r := newSegmentReader(io.NewSectionReader(f, from, to-from))
	r.at = from
	return r
}
