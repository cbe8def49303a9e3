package logs

import (
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// mustOpen opens a store below dir.
func mustOpen(t testing.TB, dir string, change ...func(*Config)) *Store {
	t.Helper()
	c := Config{Dir: dir, ManagedDays: 30, MaxBytes: 1 << 40, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&c)
	}
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// base is a time for events.
func base() time.Time { return time.Now().Truncate(time.Millisecond).Add(-time.Hour).UTC() }

// lines makes n events, a second apart, that say what and which they are.
func lines(from time.Time, n int, what string) []Event {
	all := make([]Event, n)
	for i := range all {
		all[i] = Event{from.Add(time.Duration(i) * time.Second), fmt.Sprintf("%s %d", what, i)}
	}
	return all
}

func mustAppend(t testing.TB, s *Store, group, stream string, events []Event, mark string) {
	t.Helper()
	if err := s.Append(t.Context(), group, stream, events, mark); err != nil {
		t.Fatal(err)
	}
}

// mustRead reads pages to their end.
func mustRead(t testing.TB, s *Store, q Query) []Entry {
	t.Helper()
	var all []Entry
	for n := 0; ; n++ {
		p, err := s.Read(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if q.Backward {
			all = append(p.Events, all...)
		} else {
			all = append(all, p.Events...)
		}
		if !p.More {
			return all
		}
		if n > 100000 {
			t.Fatal("pages have no end")
		}
		q.Cursor = p.Next
	}
}

// wantMessages compares what was read.
func wantMessages(t testing.TB, got []Entry, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("have %d events, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].Message != want[i] {
			t.Fatalf("event %d is %q, want %q", i, got[i].Message, want[i])
		}
	}
}
