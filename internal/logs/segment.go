package logs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
)

// A segment is a file of records. A record is four bytes of length and four of
// CRC-32C, both of the payload; the payload is, in varints: sequence number of
// the first event, ingestion time, length and bytes of the mark, number of
// events, their bytes, earliest and span of their times, and for each event its
// time after the earliest, the length of its message and the message.

const (
	recordHead = 8
	// maxRecord is longer than any payload: the events of one PutLogEvents.
	maxRecord = MaxBatchBytes + 64<<10 + maxMark
	// segmentSize is when a segment is sealed and a new one begun.
	segmentSize = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// span says what a segment holds without reading it. Sealed segments have it
// in their file's name.
type span struct {
	number   int64 // of the segment within its stream
	min, max int64 // event times in milliseconds; no events: min > max
	events   int64
	bytes    int64 // messages and overhead
	ingested int64 // time of the last record
	size     int64 // of the file
	seq      int64 // last sequence number
	sealed   bool
}

// empty returns a span without events.
func emptySpan(number int64) span { return span{number: number, min: farFuture, max: -farFuture} }

// add counts a record.
func (s *span) add(r *record, size int64) {
	s.size += size
	s.ingested = max(s.ingested, r.ingested)
	s.seq = max(s.seq, r.seq+int64(r.count)-1)
	if r.count == 0 {
		return
	}
	s.min, s.max = min(s.min, r.min), max(s.max, r.max)
	s.events += int64(r.count)
	s.bytes += r.bytes
}

const (
	openSuffix   = ".open"
	sealedSuffix = ".log"
)

// name is the segment's file name.
func (s *span) name() string {
	if !s.sealed {
		return strconv.FormatInt(s.number, 10) + openSuffix
	}
	return fmt.Sprintf("%d_%d_%d_%d_%d_%d_%d_%d%s", s.number, s.min, s.max, s.events, s.bytes, s.ingested, s.size, s.seq, sealedSuffix)
}

// parseSpan undoes name. An open segment's span is empty: it has to be read.
func parseSpan(name string) (span, bool) {
	if text, ok := strings.CutSuffix(name, openSuffix); ok {
		n, err := strconv.ParseInt(text, 10, 64)
		return emptySpan(n), err == nil
	}
	text, ok := strings.CutSuffix(name, sealedSuffix)
	fields := strings.Split(text, "_")
	s := span{sealed: true}
	into := []*int64{&s.number, &s.min, &s.max, &s.events, &s.bytes, &s.ingested, &s.size, &s.seq}
	if !ok || len(fields) != len(into) {
		return s, false
	}
	for i, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return s, false
		}
		*into[i] = n
	}
	return s, true
}

// record is one append.
type record struct {
	seq      int64 // of the first event
	ingested int64 // milliseconds
	mark     []byte
	count    int
	min, max int64 // event times, milliseconds; equal without events
	bytes    int64 // messages and overhead

	events []byte // encoded
}

// encodeRecord writes a record for events, which are one batch at most.
func encodeRecord(to []byte, seq, ingested int64, mark string, events []Event) ([]byte, *record) {
	r := &record{seq: seq, ingested: ingested, mark: []byte(mark), count: len(events)}
	for i := range events {
		ms := events[i].Time.UnixMilli()
		if i == 0 {
			r.min, r.max = ms, ms
		}
		r.min, r.max = min(r.min, ms), max(r.max, ms)
		r.bytes += int64(len(events[i].Message)) + EventOverhead
	}
	start := len(to)
	to = append(to, make([]byte, recordHead)...)
	to = binary.AppendVarint(to, seq)
	to = binary.AppendVarint(to, ingested)
	to = binary.AppendUvarint(to, uint64(len(mark)))
	to = append(to, mark...)
	to = binary.AppendUvarint(to, uint64(len(events)))
	to = binary.AppendUvarint(to, uint64(r.bytes))
	to = binary.AppendVarint(to, r.min)
	to = binary.AppendUvarint(to, uint64(r.max-r.min))
	for i := range events {
		to = binary.AppendUvarint(to, uint64(events[i].Time.UnixMilli()-r.min))
		to = binary.AppendUvarint(to, uint64(len(events[i].Message)))
		to = append(to, events[i].Message...)
	}
	payload := to[start+recordHead:]
	binary.LittleEndian.PutUint32(to[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(to[start+4:], crc32.Checksum(payload, castagnoli))
	return to, r
}

// errTorn is a record that is cut short or damaged.
var errTorn = errors.New("record is cut short or damaged")

// segmentReader reads records one after the other.
type segmentReader struct {
	from *bufio.Reader
	buf  []byte
	at   int64 // end of the last record that was read whole
}

func newSegmentReader(r io.Reader) *segmentReader {
	return &segmentReader{from: bufio.NewReaderSize(r, 64<<10)}
}

// next returns the next record, which is good until the next call; io.EOF at
// the end, errTorn where the rest cannot be read.
func (s *segmentReader) next() (*record, error) {
	var head [recordHead]byte
	if _, err := io.ReadFull(s.from, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errTorn
		}
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxRecord {
		return nil, errTorn
	}
	if cap(s.buf) < int(n) {
		s.buf = make([]byte, n)
	}
	s.buf = s.buf[:n]
	if _, err := io.ReadFull(s.from, s.buf); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errTorn
		}
		return nil, err
	}
	if crc32.Checksum(s.buf, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, errTorn
	}
	r, err := decodeRecord(s.buf)
	if err == nil {
		s.at += recordHead + int64(n)
	}
	return r, err
}

// decodeRecord reads a payload up to its events.
func decodeRecord(payload []byte) (*record, error) {
	p := payloadReader{rest: payload}
	r := &record{seq: p.varint(), ingested: p.varint()}
	r.mark = p.take(p.uvarint())
	r.count, r.bytes = int(p.uvarint()), int64(p.uvarint())
	r.min = p.varint()
	r.max = r.min + int64(p.uvarint())
	if p.bad || r.count < 0 || r.count > len(p.rest) || r.bytes < 0 || r.max < r.min {
		return nil, errTorn
	}
	r.events = p.rest
	return r, nil
}

// each visits the events in the order in which they were appended. The message
// is good during the call.
func (r *record) each(visit func(i int, ms int64, message []byte)) error {
	p := payloadReader{rest: r.events}
	for i := range r.count {
		ms := r.min + int64(p.uvarint())
		message := p.take(p.uvarint())
		if p.bad {
			return errTorn
		}
		visit(i, ms, message)
	}
	if len(p.rest) != 0 {
		return errTorn
	}
	return nil
}

// payloadReader takes a payload apart; bad remembers that it could not.
type payloadReader struct {
	rest []byte
	bad  bool
}

func (p *payloadReader) advance(n int) {
	if n <= 0 {
		p.bad, p.rest = true, nil
		return
	}
	p.rest = p.rest[n:]
}

func (p *payloadReader) varint() int64 {
	v, n := binary.Varint(p.rest)
	p.advance(n)
	return v
}

func (p *payloadReader) uvarint() uint64 {
	v, n := binary.Uvarint(p.rest)
	p.advance(n)
	return v
}

func (p *payloadReader) take(n uint64) []byte {
	if p.bad || n > uint64(len(p.rest)) {
		p.bad, p.rest = true, nil
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}
