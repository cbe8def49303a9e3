package logs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/ident"
)

// asked is a decider that remembers what it was asked and forbids some.
type asked struct {
	seen   []string
	forbid map[string]bool // actions
}

func (a *asked) Decide(_ context.Context, _ access.Caller, action, resource string) error {
	a.seen = append(a.seen, action+" "+strings.TrimPrefix(resource, "arn:aws:logs:us-east-1:000000000000:"))
	if a.forbid[action] {
		return fault.New(fault.Denied, "%s is forbidden", action)
	}
	return nil
}

func mustManage(t *testing.T) (*Manager, *Store, *asked) {
	t.Helper()
	home := ident.Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}
	s, a := mustOpen(t, t.TempDir()), &asked{forbid: map[string]bool{}}
	return NewManager(s, a, home, ident.NewPages([]byte("0123456789abcdef"))), s, a
}

var caller = access.Caller{Account: "000000000000", ARN: "arn:aws:iam::000000000000:root", UserID: "000000000000"}

// operations calls everything that asks for a decision, on a group.
func operations(t *testing.T, m *Manager, group string) map[string]func() error {
	ctx := t.Context()
	return map[string]func() error{
		"CreateLogGroup log-group:G:log-stream:":                func() error { return m.CreateGroup(ctx, caller, Group{Name: group}) },
		"PutLogGroupDeletionProtection log-group:G:log-stream:": func() error { return m.Protect(ctx, caller, group, false) },
		"PutRetentionPolicy log-group:G:log-stream:":            func() error { return m.SetRetention(ctx, caller, group, 30) },
		"DeleteRetentionPolicy log-group:G:log-stream:":         func() error { return m.DeleteRetention(ctx, caller, group) },
		"CreateLogStream log-group:G:log-stream:s":              func() error { return m.CreateStream(ctx, caller, group, "s") },
		"PutLogEvents log-group:G:log-stream:s": func() error {
			_, err := m.Put(ctx, caller, group, "s", lines(time.Now(), 1, "x"))
			return err
		},
		"DeleteLogStream log-group:G:log-stream:s": func() error { return m.DeleteStream(ctx, caller, group, "s") },
		"TagResource log-group:G":                  func() error { return m.Tag(ctx, caller, "TagResource", group, map[string]string{"a": "b"}) },
		"UntagResource log-group:G":                func() error { return m.Untag(ctx, caller, "UntagResource", group, []string{"a"}) },
		"DeleteLogGroup log-group:G:log-stream:":   func() error { return m.DeleteGroup(ctx, caller, group) },
	}
}

// reads calls everything that changes nothing.
func reads(t *testing.T, m *Manager, group string) map[string]func() error {
	ctx := t.Context()
	return map[string]func() error{
		"DescribeLogGroups log-group::log-stream:": func() error {
			_, _, err := m.Groups(ctx, caller, GroupQuery{Limit: 50})
			return err
		},
		"DescribeLogStreams log-group:G:log-stream:": func() error {
			_, _, err := m.Streams(ctx, caller, StreamQuery{Group: group, Limit: 50})
			return err
		},
		"GetLogEvents log-group:G:log-stream:s": func() error {
			_, err := m.Events(ctx, caller, StreamRead{Group: group, Stream: "s"})
			return err
		},
		"FilterLogEvents log-group:G:log-stream:": func() error {
			_, _, err := m.Filter(ctx, caller, Filter{Group: group})
			return err
		},
		"ListTagsForResource log-group:G": func() error {
			_, err := m.Tags(ctx, caller, "ListTagsForResource", group)
			return err
		},
	}
}

func TestEveryOperationAsks(t *testing.T) {
	t.Parallel()
	m, s, a := mustManage(t)
	mustAppend(t, s, "/g", "s", lines(base(), 1, "x"), "")
	for _, all := range []map[string]func() error{operations(t, m, "/g"), reads(t, m, "/g")} {
		for want, call := range all {
			action, _, _ := strings.Cut(want, " ")
			a.seen, a.forbid = nil, map[string]bool{"logs:" + action: true}
			if err := call(); fault.Of(err) != fault.Denied {
				t.Errorf("%s: forbidden, and %v", action, err)
			}
			if want = "logs:" + strings.ReplaceAll(want, "log-group:G", "log-group:/g"); !slices.Equal(a.seen, []string{want}) {
				t.Errorf("asked for %q, want %q", a.seen, want)
			}
		}
	}
	wantMessages(t, mustRead(t, s, Query{Group: "/g"}), []string{"x 0"})
	a.forbid = map[string]bool{"logs:Unmask": true}
	if _, err := m.Events(t.Context(), caller, StreamRead{Group: "/g", Stream: "s", Unmask: true}); fault.Of(err) != fault.Denied {
		t.Errorf("unmasked: %v", err)
	}
	a.forbid = map[string]bool{"logs:TagResource": true}
	if err := m.CreateGroup(t.Context(), caller, Group{Name: "/tagged", Tags: map[string]string{"a": "b"}}); err != nil {
		t.Errorf("the older permission to tag does not do: %v", err)
	}
	a.forbid["logs:TagLogGroup"] = true
	if err := m.CreateGroup(t.Context(), caller, Group{Name: "/tagged2", Tags: map[string]string{"a": "b"}}); fault.Of(err) != fault.Denied {
		t.Errorf("made with tags: %v", err)
	}
}

// TestReserved checks that clients can read what the service keeps, and no more.
func TestReserved(t *testing.T) {
	t.Parallel()
	m, s, _ := mustManage(t)
	group := ManagedGroup("spark")
	mustAppend(t, s, group, "s", lines(base(), 1, "x"), "")
	for name, call := range operations(t, m, group) {
		if err := call(); fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), "reserved") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, call := range reads(t, m, group) {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantMessages(t, mustRead(t, s, Query{Group: group}), []string{"x 0"})
}

// TestStreamPages pages through streams with names longer than a token, in
// every order.
func TestStreamPages(t *testing.T) {
	t.Parallel()
	m, s, _ := mustManage(t)
	var names []string
	for i := range 7 {
		name := fmt.Sprintf("%d%s", i, strings.Repeat("語", 500))
		names = append(names, name)
		mustAppend(t, s, "/g", name, lines(base().Add(time.Duration(i/2)*time.Minute), 1, "x"), "")
	}
	if err := s.CreateStream("/g", "zz"); err != nil { // without an event
		t.Fatal(err)
	}
	list := func(q StreamQuery) (got []string) {
		t.Helper()
		for {
			page, next, err := m.Streams(t.Context(), caller, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, st := range page {
				got = append(got, st.Name)
			}
			if q.Token = next; next == "" {
				return got
			}
		}
	}
	all := append(slices.Clone(names), "zz")
	if got := list(StreamQuery{Group: "/g", Limit: 3}); !slices.Equal(got, all) {
		t.Errorf("by name: %d streams", len(got))
	}
	slices.Reverse(all)
	if got := list(StreamQuery{Group: "/g", Limit: 3, Descending: true}); !slices.Equal(got, all) {
		t.Errorf("by name, descending: %d streams", len(got))
	}
	byLast := append([]string{"zz"}, names...)
	if got := list(StreamQuery{Group: "/g", Limit: 1, ByLast: true}); !slices.Equal(got, byLast) {
		t.Errorf("by time: %d streams", len(got))
	}
	slices.Reverse(byLast)
	if got := list(StreamQuery{Group: "/g", Limit: 2, ByLast: true, Descending: true}); !slices.Equal(got, byLast) {
		t.Errorf("by time, descending: %d streams", len(got))
	}
	_, next, err := m.Streams(t.Context(), caller, StreamQuery{Group: "/g", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteStream("/g", names[0]); err != nil {
		t.Fatal(err)
	}
	for _, q := range []StreamQuery{{Group: "/g", Limit: 1, Token: next}, {Group: "/g", Limit: 1, Token: next, Descending: true}, {Group: "/other", Limit: 1, Token: next}} {
		if _, _, err := m.Streams(t.Context(), caller, q); fault.Of(err) != fault.Invalid {
			t.Errorf("a token that does not fit: %v", err)
		}
	}
}

// TestTokensOfOneStream walks to an end and back in pages of one.
func TestTokensOfOneStream(t *testing.T) {
	t.Parallel()
	m, s, _ := mustManage(t)
	at := base()
	mustAppend(t, s, "/g", "s", []Event{{at, "a"}, {at, "b"}, {at, "c"}}, "") // of one time
	read := func(token string, head bool) StreamPage {
		t.Helper()
		p, err := m.Events(t.Context(), caller, StreamRead{Group: "/g", Stream: "s", Limit: 1, Token: token, FromHead: head})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	walk := func(p StreamPage, next func(StreamPage) string) (got string, end StreamPage) {
		t.Helper()
		for range 10 {
			if len(p.Events) == 0 {
				return got, p
			}
			got += p.Events[0].Message
			p = read(next(p), false)
		}
		t.Fatal("the stream has no end")
		return
	}
	there := func(p StreamPage) string { return p.Forward }
	back := func(p StreamPage) string { return p.Backward }
	got, end := walk(read("", true), there)
	if got != "abc" || read(end.Forward, true).Forward != end.Forward {
		t.Errorf("forwards: %q", got)
	}
	got, end = walk(read(end.Backward, false), back)
	if got != "cba" || read(end.Backward, false).Backward != end.Backward {
		t.Errorf("backwards: %q", got)
	}
	if got, _ = walk(read(end.Forward, false), there); got != "abc" {
		t.Errorf("forwards again: %q", got)
	}
	if got, _ = walk(read("", false), back); got != "cba" {
		t.Errorf("from the end: %q", got)
	}
}
