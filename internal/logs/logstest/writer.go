// Package logstest is the conformance suite of places that logs are appended
// to: the store of the server itself, and a client of CloudWatch Logs elsewhere.
package logstest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"glaux/internal/logs"
)

// Writer is such a place.
type Writer interface {
	EnsureGroup(ctx context.Context, group string) error
	Append(ctx context.Context, group, stream string, events []logs.Event, mark string) error
	Mark(ctx context.Context, group, stream string) (string, error)
}

// Place is a writer and a way to see what has arrived there.
type Place struct {
	Writer Writer
	// Read returns the messages of a stream in the order of their times.
	Read func(t *testing.T, group, stream string) []string
}

// Run tests what open returns: an empty place at the first call of a test, and
// the same one, opened again as after a restart, at further ones.
func Run(t *testing.T, open func(t *testing.T) func(t *testing.T) Place) {
	for name, test := range map[string]func(t *testing.T, again func(t *testing.T) Place){
		"appended events are there at once": appended, "groups are made once": ensured, "order": order, "marks": marks, "large appends": large,
		"messages that do not fit": unfit, "bad names": badNames, "a caller that has gone": gone, "side by side": sideBySide,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func start() time.Time { return time.Now().Truncate(time.Millisecond).Add(-time.Hour) }

func lines(from time.Time, n int, what string) []logs.Event {
	all := make([]logs.Event, n)
	for i := range all {
		all[i] = logs.Event{Time: from.Add(time.Duration(i) * time.Millisecond), Message: fmt.Sprintf("%s %d", what, i)}
	}
	return all
}

func texts(events ...[]logs.Event) []string {
	var all []string
	for _, e := range slices.Concat(events...) {
		all = append(all, e.Message)
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, got, wanted []string) {
	t.Helper()
	if !slices.Equal(got, wanted) {
		t.Fatalf("have %d events, want %d, or they differ", len(got), len(wanted))
	}
}

func appended(t *testing.T, again func(t *testing.T) Place) {
	p := again(t)
	first, second := lines(start(), 5, "a"), lines(start().Add(time.Minute), 5, "b")
	must(t, p.Writer.Append(t.Context(), "/new/group", "new/stream [1]", first, ""))
	want(t, p.Read(t, "/new/group", "new/stream [1]"), texts(first))
	p = again(t)
	must(t, p.Writer.Append(t.Context(), "/new/group", "new/stream [1]", second, ""))
	must(t, p.Writer.Append(t.Context(), "/new/group", "other", first, ""))
	want(t, p.Read(t, "/new/group", "new/stream [1]"), texts(first, second))
	want(t, p.Read(t, "/new/group", "other"), texts(first))
}

func ensured(t *testing.T, again func(t *testing.T) Place) {
	p := again(t)
	must(t, p.Writer.EnsureGroup(t.Context(), "/made"))
	must(t, p.Writer.EnsureGroup(t.Context(), "/made"))
	must(t, p.Writer.Append(t.Context(), "/made", "s", lines(start(), 1, "a"), ""))
	must(t, again(t).Writer.EnsureGroup(t.Context(), "/made"))
	want(t, p.Read(t, "/made", "s"), []string{"a 0"})
	if err := p.Writer.EnsureGroup(t.Context(), "not a group"); err == nil {
		t.Error("a group with a bad name is made")
	}
}

func order(t *testing.T, again func(t *testing.T) Place) {
	p := again(t)
	at := start().Add(-48 * time.Hour)
	var events []logs.Event
	for i := range 60 { // more than a day, backwards, two of each time
		events = append(events, logs.Event{Time: at.Add(time.Duration(29-i/2) * time.Hour), Message: fmt.Sprint(i)})
	}
	given := slices.Clone(events)
	must(t, p.Writer.Append(t.Context(), "g", "s", events, ""))
	if !slices.Equal(events, given) {
		t.Error("the caller's events were changed")
	}
	slices.SortStableFunc(given, func(a, b logs.Event) int { return a.Time.Compare(b.Time) })
	want(t, p.Read(t, "g", "s"), texts(given))
}

func marks(t *testing.T, again func(t *testing.T) Place) {
	p := again(t)
	wantMark := func(stream, wanted string) {
		t.Helper()
		mark, err := p.Writer.Mark(t.Context(), "g", stream)
		if err != nil || mark != wanted {
			t.Errorf("the mark of %s is %q, %v; want %q", stream, mark, err, wanted)
		}
	}
	wantMark("s", "")
	must(t, p.Writer.Append(t.Context(), "g", "s", lines(start(), 3, "x"), "offset 3"))
	wantMark("s", "offset 3")
	must(t, p.Writer.Append(t.Context(), "g", "s", lines(start(), 3, "y"), ""))
	wantMark("s", "offset 3")
	must(t, p.Writer.Append(t.Context(), "g", "s", nil, "offset 9"))
	must(t, p.Writer.Append(t.Context(), "g", "t", nil, "ü"))
	p = again(t)
	wantMark("s", "offset 9")
	wantMark("t", "ü")
	wantMark("none", "")
}

func large(t *testing.T, again func(t *testing.T) Place) {
	p := again(t)
	events := lines(start(), 2*logs.MaxBatch+5, "line")
	must(t, p.Writer.Append(t.Context(), "g", "many", events, ""))
	want(t, p.Read(t, "g", "many"), texts(events))
	events = lines(start(), 12, strings.Repeat("x", 300_000))
	must(t, p.Writer.Append(t.Context(), "g", "big", events, ""))
	want(t, p.Read(t, "g", "big"), texts(events))
}

func unfit(t *testing.T, again func(t *testing.T) Place) {
	p := again(t)
	at := start()
	long := strings.Repeat("é", logs.MaxMessage) // twice as many bytes
	must(t, p.Writer.Append(t.Context(), "g", "s", []logs.Event{{Time: at, Message: ""}, {Time: at.Add(1e6), Message: "a\xffb"}, {Time: at.Add(2e6), Message: long}}, ""))
	got := p.Read(t, "g", "s")
	if len(got) < 4 || got[0] != " " || got[1] != "a\uFFFDb" || strings.Join(got[2:], "") != long {
		t.Errorf("%d events arrived", len(got))
	}
}

func badNames(t *testing.T, again func(t *testing.T) Place) {
	p := again(t)
	for _, names := range [][2]string{{"bad name", "s"}, {"", "s"}, {"g", "a:b"}, {"g", ""}, {strings.Repeat("g", 513), "s"}} {
		if err := p.Writer.Append(t.Context(), names[0], names[1], lines(start(), 1, "x"), ""); err == nil {
			t.Errorf("%q and %q are taken", names[0], names[1])
		}
	}
}

func gone(t *testing.T, again func(t *testing.T) Place) {
	p := again(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Writer.Append(ctx, "g", "s", lines(start(), 3, "x"), "m"); err == nil {
		t.Error("appended for a caller that has gone")
	}
	if mark, err := p.Writer.Mark(t.Context(), "g", "s"); err != nil || mark != "" {
		t.Errorf("the mark is %q, %v", mark, err)
	}
}

func sideBySide(t *testing.T, again func(t *testing.T) Place) {
	p := again(t)
	const writers, appends = 6, 5
	done := make(chan error, writers)
	for w := range writers {
		go func() {
			var err error
			for i := 0; i < appends && err == nil; i++ {
				err = p.Writer.Append(t.Context(), "g", fmt.Sprint("s", w%3), lines(start().Add(time.Duration(i)*time.Second), 10, "x"), fmt.Sprint(i))
			}
			done <- err
		}()
	}
	for range writers {
		must(t, <-done)
	}
	for s := range 3 {
		if n := len(p.Read(t, "g", fmt.Sprint("s", s))); n != writers/3*appends*10 {
			t.Errorf("%d events arrived", n)
		}
	}
}
