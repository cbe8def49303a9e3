package logs

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Query says which events of a group a read returns.
type Query struct {
	Group   string
	Streams []string  // empty: all
	Prefix  string    // of the streams' names; empty: all
	From    time.Time // earliest event time; zero: the first
	To      time.Time // first event time that is not returned; zero: no end
	// Cursor is where an earlier page ended; zero: at the beginning, or
	// backwards at the end.
	Cursor Cursor
	// Backward reads towards earlier events. A page is ordered by time all the
	// same.
	Backward bool
	Limit    int                       // events of the page; 0: MaxBatch
	Match    func(message []byte) bool // nil: all events
}

// Cursor is the place of an event, where another page ended. Its text is for pagination tokens.
type Cursor struct{ at key }

// String writes the cursor; empty for the zero cursor.
func (c Cursor) String() string {
	if c == (Cursor{}) {
		return ""
	}
	return strconv.FormatInt(c.at.time, 10) + " " + strconv.FormatInt(c.at.seq, 10) + " " + c.at.stream
}

// ParseCursor undoes String.
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	ms, rest, _ := strings.Cut(text, " ")
	number, stream, _ := strings.Cut(rest, " ")
	var c Cursor
	var err1, err2 error
	c.at.time, err1 = strconv.ParseInt(ms, 10, 64)
	c.at.seq, err2 = strconv.ParseInt(number, 10, 64)
	c.at.stream = stream
	if err := errors.Join(err1, err2); err != nil {
		return Cursor{}, fmt.Errorf("cannot read a place in a log stream: %w", err)
	}
	return c, nil
}

// Page is what a read found.
type Page struct {
	Events []Entry // by time, then by when they were appended
	// First and Last are where the page begins and ends: reading on from there,
	// away from the page, does not return its events again. Of an empty page
	// they are where the read began, and the one behind it includes the event
	// there.
	First, Last Cursor
	// More reports whether there may be further events in the direction of the
	// read, which Next continues.
	More bool
	Next Cursor
}

// scanBytes is how much one read goes through before it returns what it has.
const scanBytes = 64 << 20

// key is the place of an event: unique, and ordered as events are returned.
type key struct {
	time   int64 // milliseconds
	seq    int64
	stream string // name of the directory; keeps equal numbers apart
}

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.time, o.time), cmp.Compare(k.seq, o.seq), strings.Compare(k.stream, o.stream))
}

// between is in the stream of a key that no event has, right after those that
// have the same number.
const between = "\xff"

// after returns the place right after an event.
func (k key) after() key {
	if !strings.HasSuffix(k.stream, between) {
		k.stream += between
	}
	return k
}

// before returns the place right before an event.
func (k key) before() key {
	if strings.HasSuffix(k.stream, between) || k.seq <= earliest {
		return k
	}
	return key{k.time, k.seq - 1, between}
}

// hit is an event that a read has found.
type hit struct {
	key
	ingested int64
	in       *stream
	message  string
}

// target is a segment to scan.
type target struct {
	span
	in *stream
}

// Read returns one page of events. It holds no more than the page in memory,
// and gives up after a bounded amount of reading: a page can be short or empty
// although there are more.
func (s *Store) Read(ctx context.Context, q Query) (Page, error) {
	g, err := s.findGroup(q.Group)
	if err != nil {
		return Page{}, err
	}
	streams, meta, err := s.list(g)
	if err != nil {
		return Page{}, err
	}
	r := newReading(q, meta.expired(time.Now()))
	r.budget = s.scan
	for _, st := range streams {
		if !strings.HasPrefix(st.name, q.Prefix) || len(q.Streams) > 0 && !slices.Contains(q.Streams, st.name) {
			continue
		}
		all, err := st.spans()
		if err != nil {
			return Page{}, err
		}
		for i := range all {
			if all[i].events > 0 && all[i].max >= r.from && all[i].min < r.to {
				r.targets = append(r.targets, target{all[i], st})
			}
		}
	}
	if err := r.run(ctx); err != nil {
		return Page{}, err
	}
	return r.page(), nil
}

// reading is one read under way. It keeps the hits that come first in its
// direction: the heap's top is the last of them.
type reading struct {
	q        Query
	from, to int64 // event times, milliseconds
	start    key   // where the page begins, exclusive; see started
	started  bool
	limit    int

	budget  int64 // bytes to go through before giving up
	scanned int64
	targets []target
	hits    []hit
	bytes   int64
	cut     key // no hit at or beyond it
	isCut   bool
}

func newReading(q Query, from int64) *reading {
	r := &reading{q: q, from: from, to: farFuture, start: q.Cursor.at, started: q.Cursor != Cursor{}, limit: cmp.Or(q.Limit, MaxBatch)}
	if !q.From.IsZero() {
		r.from = max(r.from, q.From.UnixMilli())
	}
	if !q.To.IsZero() {
		r.to = q.To.UnixMilli()
	}
	if r.started && !q.Backward {
		r.from = max(r.from, r.start.time)
	}
	if r.started && q.Backward {
		r.to = min(r.to, r.start.time+1)
	}
	return r
}

// before orders keys in the direction of the read.
func (r *reading) before(a, b key) bool {
	if r.q.Backward {
		return a.compare(b) > 0
	}
	return a.compare(b) < 0
}

// nearest is the first key of a segment in the direction of the read.
func (r *reading) nearest(t *target) key {
	if r.q.Backward {
		return key{time: t.max, seq: latest}
	}
	return key{time: t.min, seq: earliest}
}

// The heap of hits; only container/heap calls these.
func (r *reading) Len() int           { return len(r.hits) }
func (r *reading) Less(i, j int) bool { return r.before(r.hits[j].key, r.hits[i].key) }
func (r *reading) Swap(i, j int)      { r.hits[i], r.hits[j] = r.hits[j], r.hits[i] }
func (r *reading) Push(x any)         { r.hits = append(r.hits, x.(hit)) }
func (r *reading) Pop() any {
	last := r.hits[len(r.hits)-1]
	r.hits = r.hits[:len(r.hits)-1]
	return last
}

// run scans the segments in the direction of the read, and stops where no
// later one can have anything for the page.
func (r *reading) run(ctx context.Context) error {
	slices.SortFunc(r.targets, func(a, b target) int {
		x, y := r.nearest(&a), r.nearest(&b)
		if r.before(x, y) {
			return -1
		}
		if r.before(y, x) {
			return 1
		}
		return cmp.Or(strings.Compare(a.in.id, b.in.id), cmp.Compare(a.number, b.number))
	})
	for i := range r.targets {
		t := &r.targets[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		next := r.nearest(t)
		if r.isCut && !r.before(next, r.cut) {
			return nil
		}
		// Enough was read: what lies before this segment is complete. A page
		// must get on, so that this does not hold where it would begin.
		if r.scanned >= r.budget && i > 0 && r.before(r.nearest(&r.targets[0]), next) && (!r.started || r.before(r.start, next)) {
			r.cutAt(next)
			return nil
		}
		if err := r.scan(t); err != nil {
			return err
		}
	}
	return nil
}

// cutAt drops every hit at or beyond k.
func (r *reading) cutAt(k key) {
	if !r.isCut || r.before(k, r.cut) {
		r.cut, r.isCut = k, true
	}
	for len(r.hits) > 0 && !r.before(r.hits[0].key, r.cut) {
		r.drop()
	}
}

// drop removes the last hit in the direction of the read.
func (r *reading) drop() hit {
	h, _ := heap.Pop(r).(hit)
	r.bytes -= int64(len(h.message)) + EventOverhead
	return h
}

// scan goes through one segment, or the blocks of it that are of interest.
func (r *reading) scan(t *target) error {
	f, blocks, err := t.in.segment(t.number)
	if f == nil {
		return err
	}
	defer f.Close()
	if len(blocks) == 0 {
		blocks, err = r.scanRecords(t, section(f, 0, t.size))
		if err == nil && t.sealed {
			t.in.learn(t.number, blocks)
		}
		return err
	}
	if r.q.Backward { // what comes first fills the page first
		slices.Reverse(blocks)
	}
	for _, b := range blocks {
		// What came after the read began is for the next one.
		if b.from >= t.size || b.min > b.max || b.max < r.from || b.min >= r.to || r.beyond(&b) {
			continue
		}
		if _, err := r.scanRecords(t, section(f, b.from, min(b.to, t.size))); err != nil {
			return err
		}
	}
	return nil
}

// beyond reports whether all of a block lies beyond what the page can hold.
func (r *reading) beyond(b *block) bool {
	if r.q.Backward {
		return r.isCut && b.max < r.cut.time
	}
	return r.isCut && b.min > r.cut.time
}

// scanRecords goes through records and returns their blocks.
func (r *reading) scanRecords(t *target, in *segmentReader) (blocks []block, err error) {
	start := in.at
	for {
		rec, err := in.next()
		if errors.Is(err, io.EOF) || errors.Is(err, errTorn) { // the rest of a damaged segment cannot be read
			r.scanned += in.at - start
			return blocks, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read log stream %q: %w", t.in.name, err)
		}
		blocks = addBlock(blocks, rec, in.at)
		if rec.count == 0 || rec.max < r.from || rec.min >= r.to {
			continue
		}
		err = rec.each(func(i int, ms int64, message []byte) {
			r.consider(hit{key: key{ms, rec.seq + int64(i), t.in.id}, ingested: rec.ingested, in: t.in}, message)
		})
		if err != nil {
			return blocks, nil //nolint:nilerr // as above
		}
	}
}

// consider keeps an event if it belongs to the page as far as is known.
func (r *reading) consider(h hit, message []byte) {
	if h.time < r.from || h.time >= r.to ||
		r.started && !r.before(r.start, h.key) ||
		r.isCut && !r.before(h.key, r.cut) ||
		r.q.Match != nil && !r.q.Match(message) {
		return
	}
	h.message = string(message)
	heap.Push(r, h)
	r.bytes += int64(len(message)) + EventOverhead
	for len(r.hits) > 1 && (len(r.hits) > r.limit || r.bytes > maxPageBytes) {
		r.cut, r.isCut = r.drop().key, true
	}
}

// page makes the result of the hits.
func (r *reading) page() Page {
	p := Page{First: r.q.Cursor, Last: r.q.Cursor, More: r.isCut}
	slices.SortFunc(r.hits, func(a, b hit) int { return a.compare(b.key) })
	p.Events = make([]Entry, len(r.hits))
	for i := range r.hits {
		h := &r.hits[i]
		p.Events[i] = Entry{
			Stream: h.in.name, Time: fromMillis(h.time), Ingested: fromMillis(h.ingested), Message: h.message, ID: h.id(),
		}
	}
	if n := len(r.hits); n > 0 {
		p.First, p.Last = Cursor{r.hits[0].key}, Cursor{r.hits[n-1].key}
	} else if r.started && r.q.Backward {
		p.Last = Cursor{r.start.before()}
	} else if r.started {
		p.First = Cursor{r.start.after()}
	}
	switch {
	case r.isCut && (r.cut.seq == earliest || r.cut.seq == latest):
		p.Next = Cursor{r.cut} // where reading was given up
	case r.q.Backward:
		p.Next = p.First
	default:
		p.Next = p.Last
	}
	return p
}

// id makes an event's id of its place: 56 digits as on AWS.
func (h *hit) id() string {
	var sum uint64
	for i := range min(16, len(h.stream)) {
		d, _ := strconv.ParseUint(h.stream[i:i+1], 16, 8) // the directory's name is in hex
		sum = sum<<4 | d
	}
	return fmt.Sprintf("3%015d%020d%020d", h.time, h.seq, sum)
}
