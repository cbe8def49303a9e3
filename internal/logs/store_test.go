package logs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func messages(events ...[]Event) []string {
	var all []string
	for _, e := range slices.Concat(events...) {
		all = append(all, e.Message)
	}
	return all
}

func TestAppendedEventsAreReadAtOnceAndAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	group := ManagedGroup("spark")
	first, second := lines(base(), 10, "a"), lines(base().Add(time.Minute), 5, "b")
	mustAppend(t, s, group, "one", first, "10")
	wantMessages(t, mustRead(t, s, Query{Group: group}), messages(first))
	mustAppend(t, s, group, "one", second, "15")

	for range 2 {
		got := mustRead(t, s, Query{Group: group})
		wantMessages(t, got, messages(first, second))
		if got[3].Stream != "one" || !got[3].Time.Equal(first[3].Time) || time.Since(got[3].Ingested) > time.Minute || len(got[3].ID) != 56 {
			t.Errorf("an event is %+v", got[3])
		}
		if mark, err := s.Mark(t.Context(), group, "one"); err != nil || mark != "15" {
			t.Errorf("the mark is %q, %v", mark, err)
		}
		ids := map[string]bool{}
		for _, e := range got {
			ids[e.ID] = true
		}
		if len(ids) != 15 {
			t.Errorf("there are %d ids", len(ids))
		}
		s = mustOpen(t, dir)
	}
	if mark, err := s.Mark(t.Context(), group, "none"); err != nil || mark != "" {
		t.Errorf("a stream that is not there has the mark %q, %v", mark, err)
	}
}

func TestIDsNeverChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	mustAppend(t, s, "g", "s", lines(base(), 20, "x"), "")
	before := mustRead(t, s, Query{Group: "g"})
	s = mustOpen(t, dir)
	mustAppend(t, s, "g", "s", lines(base().Add(time.Minute), 20, "y"), "")
	after := mustRead(t, s, Query{Group: "g", Limit: 3})
	for i := range before {
		if before[i].ID != after[i].ID {
			t.Fatalf("event %d had the id %s and has %s", i, before[i].ID, after[i].ID)
		}
	}
}

// TestOrder appends out of order to several streams, over several segments,
// and reads in both directions, in pages of several sizes.
func TestOrder(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	start := base().Add(-24 * time.Hour)
	random := rand.New(rand.NewPCG(1, 2))
	type line struct {
		at   time.Time
		n    int
		text string
	}
	var all []line
	pad := strings.Repeat("x", 20000)
	for n := range 24 {
		batch := make([]Event, 30)
		for i := range batch {
			at := start.Add(time.Duration(random.IntN(600)) * time.Second)
			batch[i] = Event{at, fmt.Sprintf("%04d %s", n*30+i, pad)}
			all = append(all, line{at, n*30 + i, batch[i].Message})
		}
		mustAppend(t, s, "g", fmt.Sprintf("s%d", n%3), batch, "")
	}
	slices.SortStableFunc(all, func(a, b line) int { return a.at.Compare(b.at) })
	want := make([]string, len(all))
	for i := range all {
		want[i] = all[i].text
	}
	for _, limit := range []int{0, 150} {
		wantMessages(t, mustRead(t, s, Query{Group: "g", Limit: limit}), want)
		wantMessages(t, mustRead(t, s, Query{Group: "g", Limit: limit, Backward: true}), want)
	}
	from, to := start.Add(100*time.Second), start.Add(200*time.Second)
	var within []string
	for _, l := range all {
		if !l.at.Before(from) && l.at.Before(to) {
			within = append(within, l.text)
		}
	}
	wantMessages(t, mustRead(t, s, Query{Group: "g", From: from, To: to, Limit: 40}), within)
	wantMessages(t, mustRead(t, s, Query{Group: "g", From: from, To: to, Limit: 50, Backward: true}), within)
	if got := mustRead(t, s, Query{Group: "g", Match: func(m []byte) bool { return m[3] == '7' }, Limit: 40}); len(got) != 72 {
		t.Errorf("%d events match", len(got))
	}
}

// TestPageIsCutByItsSize checks that nothing is passed over because something
// small would still fit.
func TestPageIsCutByItsSize(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	at := base()
	var want []Event
	for i, n := range []int{600_000, 700_000, 1, 400_000, MaxMessage, 5} {
		want = append(want, Event{at.Add(time.Duration(i) * time.Millisecond), strings.Repeat(string(rune('a'+i)), n)})
	}
	mustAppend(t, s, "g", "s", want, "")
	p, err := s.Read(t.Context(), Query{Group: "g"})
	if err != nil || len(p.Events) != 1 || !p.More {
		t.Fatalf("the first page has %d events, more %v, %v", len(p.Events), p.More, err)
	}
	wantMessages(t, mustRead(t, s, Query{Group: "g"}), messages(want))
	wantMessages(t, mustRead(t, s, Query{Group: "g", Backward: true}), messages(want))
}

// TestGivingUp checks that a read that finds nothing for long returns, and
// that its continuation gets on.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	s.scan = 6 << 20
	at := base().Add(-10 * time.Hour)
	pad := strings.Repeat("y", 1<<20-100)
	for i := range 20 {
		text := pad
		if i == 19 {
			text = "needle"
		}
		mustAppend(t, s, "g", "s", []Event{{at.Add(time.Duration(i) * time.Second), text}}, "")
	}
	needle := func(m []byte) bool { return string(m) == "needle" }
	for _, backward := range []bool{false, true} {
		p, err := s.Read(t.Context(), Query{Group: "g", Match: needle, Backward: backward})
		if err != nil || !p.More {
			t.Fatalf("the first read finds %d events, more %v, %v", len(p.Events), p.More, err)
		}
		wantMessages(t, mustRead(t, s, Query{Group: "g", Match: needle, Backward: backward}), []string{"needle"})
	}
}

// TestTornTail cuts the last segment at every byte of its last record, as a
// kill in the middle of a write does.
func TestTornTail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	first, second := lines(base(), 3, "first"), lines(base().Add(time.Minute), 2, "second")
	mustAppend(t, s, "g", "s", first, "3")
	path := filepath.Join(dir, dirOf("g"), dirOf("s"), "1.open")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, "g", "s", second, "5")
	longer, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(whole); n < len(longer); n++ {
		if err := os.WriteFile(path, longer[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		s := mustOpen(t, dir)
		wantMessages(t, mustRead(t, s, Query{Group: "g"}), messages(first))
		if mark, err := s.Mark(t.Context(), "g", "s"); err != nil || mark != "3" {
			t.Fatalf("cut at %d the mark is %q, %v", n, mark, err)
		}
		mustAppend(t, s, "g", "s", second, "5")
		s = mustOpen(t, dir)
		wantMessages(t, mustRead(t, s, Query{Group: "g"}), messages(first, second))
	}
}

// TestMarksOutliveTheirEvents drops everything and finds the mark.
func TestMarksOutliveTheirEvents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	mustAppend(t, s, "g", "s", lines(base(), 3, "x"), "3")
	mustAppend(t, s, "g", "s", nil, "4")
	if err := s.UpdateGroup("g", func(g *Group) error { g.Retention = 1; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context(), time.Now().Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if disk := s.Stats().Disk; disk != 0 {
		t.Errorf("%d bytes are left", disk)
	}
	for range 2 {
		if mark, err := s.Mark(t.Context(), "g", "s"); err != nil || mark != "4" {
			t.Errorf("the mark is %q, %v", mark, err)
		}
		s = mustOpen(t, dir)
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	old, young := lines(time.Now().Add(-50*time.Hour), 2, "old"), lines(base(), 2, "young")
	mustAppend(t, s, "g", "s", slices.Concat(old, young), "")
	if err := s.UpdateGroup("g", func(g *Group) error { g.Retention = 2; return nil }); err != nil {
		t.Fatal(err)
	}
	wantMessages(t, mustRead(t, s, Query{Group: "g"}), messages(young))
	if err := s.UpdateGroup("g", func(g *Group) error { g.Retention = 0; return nil }); err != nil {
		t.Fatal(err)
	}
	wantMessages(t, mustRead(t, s, Query{Group: "g"}), messages(old, young))

	// Streams of managed logging go with their events, and groups with their streams.
	managed := ManagedGroup("wg")
	mustAppend(t, s, managed, "s", young, "")
	if g, err := s.Group(managed); err != nil || g.Retention != 30 || g.Bytes == 0 {
		t.Errorf("the managed group is %+v, %v", g, err)
	}
	if err := s.Sweep(t.Context(), time.Now().Add(29*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantMessages(t, mustRead(t, s, Query{Group: managed}), messages(young))
	if err := s.Sweep(t.Context(), time.Now().Add(31*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Group(managed); !errors.Is(err, ErrNoGroup) {
		t.Errorf("the managed group is still there: %v", err)
	}
	if _, err := mustOpen(t, dir).Group("g"); err != nil {
		t.Errorf("a client's group is gone: %v", err)
	}
}

// TestBound fills the store beyond its bound, from several streams.
func TestBound(t *testing.T) {
	t.Parallel()
	const bound = 20 << 20
	s := mustOpen(t, t.TempDir(), func(c *Config) { c.MaxBytes = bound })
	at := base().Add(-time.Hour)
	pad := strings.Repeat("z", 10000)
	const batches, batch = 100, 50
	for i := range batches {
		events := lines(at.Add(time.Duration(i)*time.Minute), batch, pad)
		mustAppend(t, s, ManagedGroup("wg"), fmt.Sprintf("s%d", i%4), events, fmt.Sprint(i))
		if disk := s.Stats().Disk; disk > bound {
			t.Fatalf("the files have %d bytes", disk)
		}
	}
	got := mustRead(t, s, Query{Group: ManagedGroup("wg")})
	if n := len(got); n < batches*batch/4 || n > bound/10000 {
		t.Errorf("%d events are left", n)
	}
	if last := got[len(got)-1]; !last.Time.Equal(at.Add((batches-1)*time.Minute + (batch-1)*time.Second).Truncate(time.Millisecond)) {
		t.Errorf("the newest event is gone: the last is of %v", last.Time)
	}
	if s.Stats().Dropped == 0 {
		t.Error("nothing was counted as dropped")
	}
}

func TestGroupsAndStreams(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	for _, name := range []string{"b", "a", "c/d"} {
		if err := s.CreateGroup(Group{Name: name, Tags: map[string]string{"k": name}, Retention: 3}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CreateGroup(Group{Name: "a"}); !errors.Is(err, ErrGroupExists) {
		t.Errorf("made twice: %v", err)
	}
	if err := s.CreateStream("none", "s"); !errors.Is(err, ErrNoGroup) {
		t.Errorf("a stream in no group: %v", err)
	}
	for _, name := range []string{"y/[$LATEST]z", "x"} {
		if err := s.CreateStream("a", name); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CreateStream("a", "x"); !errors.Is(err, ErrStreamExists) {
		t.Errorf("a stream made twice: %v", err)
	}
	if err := s.Put(t.Context(), "a", "none", lines(base(), 1, "x")); !errors.Is(err, ErrNoStream) {
		t.Errorf("put into no stream: %v", err)
	}
	s = mustOpen(t, dir)
	all, more, err := s.Groups("", 2, func(*Group) bool { return true })
	if err != nil || !more || len(all) != 2 || all[0].Name != "a" || all[0].Tags["k"] != "a" || all[0].Retention != 3 || all[0].Class != "STANDARD" {
		t.Fatalf("groups are %+v, %v, %v", all, more, err)
	}
	if all, more, err = s.Groups("b", 2, func(*Group) bool { return true }); err != nil || more || len(all) != 1 || all[0].Name != "c/d" {
		t.Fatalf("groups are %+v, %v, %v", all, more, err)
	}
	streams, err := s.Streams("a")
	if err != nil || len(streams) != 2 || streams[0].Name != "x" || !streams[0].Last.IsZero() || time.Since(streams[0].Created) > time.Minute {
		t.Fatalf("streams are %+v, %v", streams, err)
	}
	mustAppend(t, s, "a", "x", lines(base(), 5, "x"), "")
	if streams, err = s.Streams("a"); err != nil || streams[0].Last.Sub(streams[0].First) != 4*time.Second || streams[0].LastIngested.IsZero() {
		t.Fatalf("streams are %+v, %v", streams, err)
	}
	if err := s.DeleteStream("a", "x"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteStream("a", "x"); !errors.Is(err, ErrNoStream) {
		t.Errorf("deleted twice: %v", err)
	}
	if got := mustRead(t, s, Query{Group: "a"}); len(got) != 0 {
		t.Errorf("%d events of a deleted stream", len(got))
	}
	if err := s.UpdateGroup("a", func(g *Group) error { g.Protected = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteGroup("a"); !errors.Is(err, ErrProtected) {
		t.Errorf("a protected group: %v", err)
	}
	if err := s.DeleteGroup("b"); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir)
	if _, err := s.Group("b"); !errors.Is(err, ErrNoGroup) {
		t.Errorf("a deleted group is back: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%d directories, %v", len(entries), err)
	}
}

// TestKilledWhileCreating leaves what a kill between two steps leaves.
func TestKilledWhileCreating(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	mustAppend(t, s, "g", "s", lines(base(), 1, "x"), "")
	for _, d := range []string{dirOf("h"), filepath.Join(dirOf("g"), dirOf("t")), gonePrefix + "x", filepath.Join(dirOf("g"), gonePrefix+"y")} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{filepath.Join(dirOf("g"), newPrefix+"1"), filepath.Join(dirOf("g"), dirOf("s"), newPrefix+"2")} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = mustOpen(t, dir)
	wantMessages(t, mustRead(t, s, Query{Group: "g"}), []string{"x 0"})
	mustAppend(t, s, "g", "t", lines(base(), 1, "t"), "")
	mustAppend(t, s, "h", "s", lines(base(), 1, "h"), "")
	wantMessages(t, mustRead(t, s, Query{Group: "h"}), []string{"h 0"})
	left, err := filepath.Glob(filepath.Join(dir, "*", ".*"))
	if more, _ := filepath.Glob(filepath.Join(dir, "*", "*", ".*")); err != nil || len(left)+len(more) > 0 {
		t.Errorf("left behind: %v %v, %v", left, more, err)
	}
}

// TestManyAtOnce has writers, readers, sweeps and deletions side by side.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	const writers, batches, batch = 8, 20, 25
	at := base()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for b := range batches {
				if err := s.Append(t.Context(), "g", fmt.Sprintf("s%d", w%4), lines(at.Add(time.Duration(b)*time.Minute), batch, "x"), ""); err != nil {
					t.Error(err)
				}
				if err := s.Append(t.Context(), "other", "s", lines(at, 1, "x"), ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			if _, err := s.Read(t.Context(), Query{Group: "other"}); err != nil && !errors.Is(err, ErrNoGroup) {
				t.Error(err)
			}
			if err := s.DeleteGroup("other"); err != nil && !errors.Is(err, ErrNoGroup) {
				t.Error(err)
			}
			if err := s.Sweep(t.Context(), time.Now().Add(2*time.Hour)); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	for range 2 {
		if n := len(mustRead(t, s, Query{Group: "g"})); n != writers*batches*batch {
			t.Errorf("%d events, want %d", n, writers*batches*batch)
		}
		s = mustOpen(t, dir)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	if _, err := s.Watch("g"); !errors.Is(err, ErrNoGroup) {
		t.Errorf("watching no group: %v", err)
	}
	mustAppend(t, s, "g", "s", lines(base(), 1, "x"), "")
	changed, err := s.Watch("g")
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
		t.Fatal("told too early")
	default:
	}
	mustAppend(t, s, "g", "other", lines(base(), 1, "x"), "")
	<-changed
	if changed, err = s.Watch("g"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteGroup("g"); err != nil {
		t.Fatal(err)
	}
	<-changed
}

func TestFit(t *testing.T) {
	t.Parallel()
	at := base()
	long := strings.Repeat("ü", MaxMessage/2+10)
	got := Fit([]Event{{at, ""}, {at, "a\xffb"}, {at, long}})
	if len(got) != 4 || got[0].Message != " " || got[1].Message != "a\uFFFDb" || got[2].Message+got[3].Message != long || len(got[2].Message) > MaxMessage {
		t.Errorf("%d events: %q", len(got), got[0].Message)
	}
	same := lines(at, 2, "x")
	if got := Fit(same); &got[0] != &same[0] {
		t.Error("events that fit were copied")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{"a": true, "/aws/x#1.2_-": true, "": false, "a b": false, "aws/x": false, "AWS/x": false, strings.Repeat("g", 512): true, strings.Repeat("g", 513): false} {
		if ValidGroup(name) != ok {
			t.Errorf("group %q", name)
		}
	}
	for name, ok := range map[string]bool{"a b": true, "2024/[$LATEST]x": true, "": false, "a:b": false, "a*": false, strings.Repeat("ü", 512): true, strings.Repeat("g", 513): false} {
		if ValidStream(name) != ok {
			t.Errorf("stream %q", name)
		}
	}
	s := mustOpen(t, t.TempDir())
	if s.Append(t.Context(), "bad name", "s", nil, "m") == nil || s.Append(t.Context(), "g", "a:b", nil, "m") == nil {
		t.Error("bad names are taken")
	}
}
