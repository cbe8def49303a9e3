package logs

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/logs/pattern"
)

// Rejected says which events of a batch were not taken, by their place in it.
// A value below zero means none.
type Rejected struct {
	TooNewFrom   int // the first that is too far in the future
	TooOldUntil  int // the first that is not too old
	ExpiredUntil int // the first that the group's retention allows
}

// Any reports whether anything was rejected.
func (r Rejected) Any() bool { return r.TooNewFrom >= 0 || r.TooOldUntil >= 0 || r.ExpiredUntil >= 0 }

// Put adds a client's batch of events to a stream. Those too old or too new
// are left out.
func (m *Manager) Put(ctx context.Context, who access.Caller, group, stream string, events []Event) (Rejected, error) {
	rejected := Rejected{-1, -1, -1}
	if err := m.change(ctx, who, "PutLogEvents", group, stream); err != nil {
		return rejected, err
	}
	if err := checkBatch(events); err != nil {
		return rejected, err
	}
	g, err := m.store.meta(group)
	if err != nil {
		return rejected, said(err)
	}
	now := time.Now()
	expired := fromMillis(g.expired(now))
	first, end := 0, len(events)
	for i := range events {
		if events[i].Time.After(now.Add(maxAhead)) {
			rejected.TooNewFrom, end = i, i
			break
		}
		if events[i].Time.Before(now.Add(-maxAge)) {
			rejected.TooOldUntil, first = i+1, i+1
		}
		if events[i].Time.Before(expired) {
			rejected.ExpiredUntil, first = i+1, i+1
		}
	}
	taken := events[first:end]
	if n := len(taken); n > 0 && taken[n-1].Time.Sub(taken[0].Time) > maxSpan {
		return rejected, fault.Invalidf("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return rejected, said(m.store.Put(ctx, group, stream, taken))
}

// checkBatch refuses what is no batch of PutLogEvents.
func checkBatch(events []Event) error {
	size := 0
	for i := range events {
		n := len(events[i].Message) + EventOverhead
		if n > MaxBatchBytes {
			return fault.Invalidf("Log event too large: %d bytes exceeds limit of %d", n, MaxBatchBytes)
		}
		if i > 0 && events[i].Time.Before(events[i-1].Time) {
			return fault.Invalidf("Log events in a single PutLogEvents request must be in chronological order.")
		}
		size += n
	}
	if size > MaxBatchBytes {
		return fault.Invalidf("Upload too large: %d bytes exceeds limit of %d", size, MaxBatchBytes)
	}
	return nil
}

// StreamRead is a request for the events of one stream.
type StreamRead struct {
	Group, Stream string
	From, To      time.Time // To is the first that is not returned; zero: no bound
	FromHead      bool      // without a token: begin with the earliest event
	Limit         int       // 0: as many as a page can have
	Token         string
	Unmask        bool
}

// StreamPage is a page of one stream. Its tokens are never empty; at an end
// the one in that direction is the token that was given.
type StreamPage struct {
	Events            []Entry
	Forward, Backward string
}

// Directions of a token.
const (
	forward  = "f"
	backward = "b"
)

// Events returns a page of the events of one stream, in the order of their times.
func (m *Manager) Events(ctx context.Context, who access.Caller, in StreamRead) (StreamPage, error) {
	if err := m.decide(ctx, who, "GetLogEvents", in.Group, in.Stream); err != nil {
		return StreamPage{}, err
	}
	if err := m.unmask(ctx, who, in.Unmask, in.Group); err != nil {
		return StreamPage{}, err
	}
	scope := ident.Scope("GetLogEvents", who.Account, who.ARN, in.Group, in.Stream)
	q := Query{Group: in.Group, Streams: []string{in.Stream}, From: in.From, To: in.To, Limit: in.Limit, Backward: !in.FromHead}
	if in.Token != "" {
		text, err := m.open(scope, in.Token)
		if err != nil {
			return StreamPage{}, err
		}
		direction, place, _ := strings.Cut(text, " ")
		if q.Cursor, err = ParseCursor(place); err != nil {
			return StreamPage{}, badToken(err)
		}
		q.Backward = direction == backward
	}
	if err := m.store.hasStreams(in.Group, q.Streams); err != nil {
		return StreamPage{}, said(err)
	}
	p, err := m.store.Read(ctx, q)
	if err != nil {
		return StreamPage{}, said(err)
	}
	out := StreamPage{Events: p.Events}
	first, last := p.First, p.Last
	if len(p.Events) == 0 && p.More { // the page is short because much was read for it
		first, last = p.Next, p.Next
	}
	out.Forward, out.Backward = m.pages.Seal(scope, forward+" "+last.String()), m.pages.Seal(scope, backward+" "+first.String())
	return out, nil
}

// unmask asks for the permission to see what data protection would hide.
// There is no data protection, and so nothing else to do.
func (m *Manager) unmask(ctx context.Context, who access.Caller, wanted bool, group string) error {
	if !wanted {
		return nil
	}
	return m.decide(ctx, who, "Unmask", group, "")
}

// Filter is a request for the events of a group.
type Filter struct {
	Group    string
	Streams  []string // nil: all
	Prefix   string   // of the streams' names
	From, To time.Time
	Pattern  string
	FromTail bool // begin with the latest event
	Limit    int  // 0: as many as a page can have
	Token    string
	Unmask   bool
}

// newestFirst is when AWS began to sort in the other direction: a search from
// the end has to begin at or after it.
var newestFirst = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// Filter returns a page of the events of a group that match, and the token of
// the next page; an empty token means there is none.
func (m *Manager) Filter(ctx context.Context, who access.Caller, in Filter) ([]Entry, string, error) {
	if err := m.decide(ctx, who, "FilterLogEvents", in.Group, ""); err != nil {
		return nil, "", err
	}
	if err := m.unmask(ctx, who, in.Unmask, in.Group); err != nil {
		return nil, "", err
	}
	if in.Streams != nil && in.Prefix != "" {
		return nil, "", fault.Invalidf("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
	}
	if in.FromTail && in.Token == "" && in.From.Before(newestFirst) {
		return nil, "", fault.Invalidf("Setting startFromHead to false is supported only when startTime is on or after Jan 1, 2024 00:00:00 UTC.")
	}
	filter, err := pattern.Parse(in.Pattern)
	if err != nil {
		return nil, "", err
	}
	scope := ident.Scope("FilterLogEvents", who.Account, who.ARN, in.Group, in.Prefix, in.Pattern, fmt.Sprintf("%q", in.Streams), stamp(in.From), stamp(in.To))
	q := Query{Group: in.Group, Streams: in.Streams, Prefix: in.Prefix, From: in.From, To: in.To, Limit: in.Limit, Backward: in.FromTail}
	if !in.To.IsZero() {
		q.To = in.To.Add(time.Millisecond) // here the end is part of the range
	}
	if !filter.All() {
		q.Match = filter.Match
	}
	if in.Token != "" {
		text, err := m.open(scope, in.Token)
		if err != nil {
			return nil, "", err
		}
		direction, place, _ := strings.Cut(text, " ")
		if q.Cursor, err = ParseCursor(place); err != nil {
			return nil, "", badToken(err)
		}
		q.Backward = direction == backward
	}
	if err := m.store.hasStreams(in.Group, in.Streams); err != nil {
		return nil, "", said(err)
	}
	p, err := m.store.Read(ctx, q)
	if err != nil || !p.More {
		return newest(p.Events, q.Backward), "", said(err)
	}
	direction := forward
	if q.Backward {
		direction = backward
	}
	return newest(p.Events, q.Backward), m.pages.Seal(scope, direction+" "+p.Next.String()), nil
}

// newest turns a page around if it was read backwards.
func newest(events []Entry, turned bool) []Entry {
	if turned {
		for i, j := 0, len(events)-1; i < j; i, j = i+1, j-1 {
			events[i], events[j] = events[j], events[i]
		}
	}
	return events
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}
