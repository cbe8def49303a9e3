package delivery

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"glaux/internal/engine"
)

// holdBack is how much of a part of a line is held until its next part is
// there: no secret is longer, so none is cut in two.
const holdBack = 4 << 10

// line is one line to deliver.
type line struct {
	time time.Time
	text string
}

// batch is lines of one stream, in order.
type batch struct {
	lines []line
	bytes int   // of their texts
	from  int64 // offset of the first record, in the stream
	next  int64 // where to go on once these are delivered
}

func (b *batch) empty() bool { return len(b.lines) == 0 }

// gatherer makes lines of the bytes of a stream: whole records, with what is
// secret hidden.
type gatherer struct {
	hide func(string) string
	at   int64 // offset behind the last whole record
	rest []byte
	last time.Time // of the last line: times do not go back
	// held is, by writer, the end of a line of which more is to come, and where
	// the line began: delivery goes on there after a restart.
	held map[byte]*heldLine
	b    batch
}

type heldLine struct {
	text string
	from int64
}

func newGatherer(at int64, hide func(string) string) *gatherer {
	return &gatherer{hide: hide, at: at, held: map[byte]*heldLine{}, b: batch{from: at, next: at}}
}

// add takes bytes that follow those before.
func (g *gatherer) add(p []byte) {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			g.rest = append(g.rest, p...)
			return
		}
		record := p[:i+1]
		if len(g.rest) > 0 {
			g.rest = append(g.rest, record...)
			record = g.rest
		}
		g.record(record)
		g.rest, p = g.rest[:0], p[i+1:]
	}
}

func (g *gatherer) record(record []byte) {
	r := engine.ParseLogLine(record)
	text, from := string(r.Text), g.at
	h := g.held[r.Writer]
	if h != nil {
		text, from = h.text+text, h.from
		delete(g.held, r.Writer)
	}
	g.at += int64(len(record))
	text = g.hide(text)
	if r.Part {
		cut := max(0, len(text)-holdBack)
		g.held[r.Writer] = &heldLine{text: text[cut:], from: from}
		text = text[:cut]
	}
	if !r.Part || text != "" {
		g.line(r.Time, text)
	}
	g.b.next = g.at
	for _, h := range g.held {
		g.b.next = min(g.b.next, h.from)
	}
}

func (g *gatherer) line(at time.Time, text string) {
	if at.IsZero() {
		at = time.Now()
	}
	if at.Before(g.last) {
		at = g.last
	}
	g.last = at
	g.b.lines = append(g.b.lines, line{at, text})
	g.b.bytes += len(text)
}

// skip goes on behind a gap in the stream, and says so in the stream.
func (g *gatherer) skip(to int64) {
	if g.b.empty() {
		g.b.from = to // what was delivered from before the gap keeps its name
	}
	g.release() // what was held is all there is of its line
	g.line(time.Time{}, fmt.Sprintf("[%d bytes of the log were dropped before they could be delivered]", to-g.at))
	g.at, g.rest, g.b.next = to, g.rest[:0], to
}

// restart forgets the beginning of a record, which will be read again.
func (g *gatherer) restart() { g.rest = g.rest[:0] }

// finish makes lines of what is left at the stream's end.
func (g *gatherer) finish() {
	if len(g.rest) > 0 { // a record cut short, by a kill
		g.record(g.rest)
	}
	g.release()
	g.b.next = g.at
}

// release makes lines of what is held, in the order in which they began: what
// is sent again is the same.
func (g *gatherer) release() {
	held := slices.SortedFunc(maps.Values(g.held), func(a, b *heldLine) int { return cmp.Compare(a.from, b.from) })
	for _, h := range held {
		g.line(time.Time{}, h.text)
	}
	clear(g.held)
}

// take returns the batch and begins another.
func (g *gatherer) take() batch {
	b := g.b
	g.b = batch{from: g.at, next: b.next}
	return b
}
