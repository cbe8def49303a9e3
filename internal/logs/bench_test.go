package logs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"glaux/internal/logs/pattern"
)

// BenchmarkAppend appends one line at a time, as a slow program prints.
func BenchmarkAppend(b *testing.B) {
	s := mustOpen(b, b.TempDir())
	line := strings.Repeat("x", 120)
	for b.Loop() {
		mustAppend(b, s, "g", "s", []Event{{time.Now(), line}}, "1")
	}
}

// BenchmarkAppendBatch appends what a busy driver prints in a moment.
func BenchmarkAppendBatch(b *testing.B) {
	s := mustOpen(b, b.TempDir())
	batch := lines(base(), 1000, strings.Repeat("x", 120))
	for b.Loop() {
		mustAppend(b, s, "g", "s", batch, "1")
	}
	b.SetBytes(1000 * 125)
}

// mustFill makes a group of a million lines in 20 streams of the same time.
func mustFill(b *testing.B) (*Store, time.Time) {
	b.Helper()
	s := mustOpen(b, b.TempDir())
	at := base().Add(-time.Hour)
	for i := range 1000 {
		batch := make([]Event, 1000)
		for n := range batch {
			batch[n] = Event{at.Add(time.Duration(i/20*1000+n) * time.Millisecond), fmt.Sprintf("24/01/01 12:00:00 INFO TaskSetManager: Starting task %d in stage %d of a job that prints", n, i)}
		}
		mustAppend(b, s, "g", fmt.Sprintf("s%d", i%20), batch, "")
	}
	return s, at.Add(50 * time.Second)
}

// BenchmarkTail asks for what is newest, as a follower does.
func BenchmarkTail(b *testing.B) {
	s, end := mustFill(b)
	for b.Loop() {
		if p, err := s.Read(b.Context(), Query{Group: "g", From: end.Add(-time.Millisecond)}); err != nil || len(p.Events) != 20 {
			b.Fatalf("%d events, %v", len(p.Events), err)
		}
	}
}

// BenchmarkSearch looks for one line in a million.
func BenchmarkSearch(b *testing.B) {
	s, _ := mustFill(b)
	p, err := pattern.Parse(`"task 999 in stage 999 "`)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if got := mustRead(b, s, Query{Group: "g", Match: p.Match}); len(got) != 1 {
			b.Fatalf("%d events", len(got))
		}
	}
}

// BenchmarkPages reads all of a million lines in pages.
func BenchmarkPages(b *testing.B) {
	s, _ := mustFill(b)
	for b.Loop() {
		if got := mustRead(b, s, Query{Group: "g"}); len(got) != 1000000 {
			b.Fatalf("%d events", len(got))
		}
	}
}
