package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"glaux/internal/session"
	"glaux/internal/statement"
)

// newStatement is a statement that can be written.
func newStatement(key session.Key) statement.Statement {
	return statement.Statement{Session: key, Code: "1+1", State: statement.Waiting, Submitted: epoch0}
}

// enqueue is how a statement begins: its session gives it an id and is busy.
func enqueue(s *session.Session) (int, error) {
	s.State = session.Busy
	s.Statements++
	s.Open++
	return s.Statements - 1, nil
}

// mustStatement writes a new statement of the session.
func mustStatement(t *testing.T, db Store, key session.Key) statement.Statement {
	t.Helper()
	st, err := db.CreateStatement(t.Context(), newStatement(key), enqueue)
	wantError(t, "CreateStatement", err, nil)
	return st
}

// over ends a statement.
func over(st *statement.Statement, state statement.State) {
	st.State, st.Completed, st.Output = state, epoch0.Add(time.Second), &statement.Output{Status: statement.StatusOK, Text: "2"}
}

func testStatement(t *testing.T, db Store) {
	ctx := t.Context()
	s := mustSession(t, db, epoch0)
	_, err := db.Statement(ctx, s.Key, 0)
	wantError(t, "Statement that is not there", err, statement.ErrNotFound)
	_, err = db.UpdateStatement(ctx, s.Key, 0, func(*statement.Statement) error { return nil })
	wantError(t, "UpdateStatement of none", err, statement.ErrNotFound)
	_, err = db.EndStatement(ctx, s.Key, 0, func(*statement.Statement, *session.Session) error { return nil })
	wantError(t, "EndStatement of none", err, statement.ErrNotFound)
	_, err = db.FirstOpen(ctx, s.Key)
	wantError(t, "FirstOpen of none", err, statement.ErrNotFound)
	_, err = db.CreateStatement(ctx, newStatement("nobody"), enqueue)
	wantError(t, "CreateStatement of no session", err, session.ErrNotFound)
	_, err = db.CreateStatement(ctx, newStatement(s.Key), func(*session.Session) (int, error) { return 0, errChange })
	wantError(t, "CreateStatement refused by begin", err, errChange)
	_, err = db.Statement(ctx, s.Key, 0)
	wantError(t, "Statement after a refusal", err, statement.ErrNotFound)

	for id := range 3 {
		want := newStatement(s.Key)
		want.ID, want.Version = id, 1
		wantEqual(t, "created statement", mustStatement(t, db, s.Key), want)
		got, err := db.Statement(ctx, s.Key, id)
		wantError(t, "Statement", err, nil)
		wantEqual(t, "statement", got, want)
	}
	now, _ := db.Session(ctx, s.Key)
	wantEqual(t, "session", []any{now.State, now.Statements, now.Open}, []any{session.Busy, 3, 3})
	if _, err := db.CreateStatement(ctx, newStatement(s.Key), func(*session.Session) (int, error) { return 1, nil }); err == nil {
		t.Error("an id was given twice")
	}

	got, err := db.UpdateStatement(ctx, s.Key, 0, func(st *statement.Statement) error {
		st.Session, st.ID, st.Code, st.Submitted = "x", 7, "x", time.Now() // never change
		st.State, st.Started, st.Tasks.Total = statement.Running, epoch0.Add(time.Second), 4
		return nil
	})
	wantError(t, "UpdateStatement", err, nil)
	want := newStatement(s.Key)
	want.State, want.Started, want.Tasks.Total, want.Version = statement.Running, epoch0.Add(time.Second), 4, 2
	wantEqual(t, "updated statement", got, want)
	got, _ = db.Statement(ctx, s.Key, 0)
	wantEqual(t, "statement read again", got, want)
	_, err = db.UpdateStatement(ctx, s.Key, 0, func(*statement.Statement) error { return errChange })
	wantError(t, "UpdateStatement refused by change", err, errChange)
}

func testStatementFields(t *testing.T, db Store) {
	ctx := t.Context()
	s := mustSession(t, db, epoch0)
	want := filled[statement.Statement]()
	want.Session, want.ID, want.State, want.Version = s.Key, 0, statement.Available, 2
	want.Code = strings.Repeat("é\x00\r\n", 17000) // 68,000 characters
	made := want
	made.State, made.Started, made.Completed, made.Output = statement.Waiting, time.Time{}, time.Time{}, nil
	_, err := db.CreateStatement(ctx, made, enqueue)
	wantError(t, "CreateStatement", err, nil)
	got, err := db.UpdateStatement(ctx, s.Key, 0, func(st *statement.Statement) error { *st = want; return nil })
	wantError(t, "UpdateStatement", err, nil)
	wantEqual(t, "updated statement", got, want)
	got, err = db.Statement(ctx, s.Key, 0)
	wantError(t, "Statement", err, nil)
	wantEqual(t, "statement", got, want)
}

func testStatementTerminalIsFinal(t *testing.T, db Store) {
	ctx := t.Context()
	s := mustSession(t, db, epoch0)
	for _, state := range []statement.State{statement.Available, statement.Cancelled, statement.Broken} {
		st := mustStatement(t, db, s.Key)
		for what, edit := range map[string]func(*statement.Statement){
			"an end without its time": func(st *statement.Statement) { over(st, state); st.Completed = time.Time{} },
			"an end without output":   func(st *statement.Statement) { over(st, state); st.Output = nil },
			"output without end":      func(st *statement.Statement) { st.Output = &statement.Output{} },
			"an end time without end": func(st *statement.Statement) { st.Completed = epoch0 },
		} {
			if _, err := db.UpdateStatement(ctx, s.Key, st.ID, func(st *statement.Statement) error { edit(st); return nil }); err == nil {
				t.Errorf("a statement took %s", what)
			}
		}
		st, err := db.UpdateStatement(ctx, s.Key, st.ID, func(st *statement.Statement) error { over(st, state); return nil })
		wantError(t, "UpdateStatement", err, nil)
		for what, edit := range map[string]func(*statement.Statement){
			"another state":    func(st *statement.Statement) { *st = newStatement(s.Key) },
			"another end time": func(st *statement.Statement) { st.Completed = epoch0.Add(time.Hour) },
			"another output":   func(st *statement.Statement) { st.Output = &statement.Output{Text: "3"} },
		} {
			if _, err := db.UpdateStatement(ctx, s.Key, st.ID, func(st *statement.Statement) error { edit(st); return nil }); err == nil {
				t.Errorf("a statement in %s took %s", state, what)
			}
			_, err := db.EndStatement(ctx, s.Key, st.ID, func(st *statement.Statement, _ *session.Session) error { edit(st); return nil })
			if err == nil {
				t.Errorf("a statement in %s took %s at its end", state, what)
			}
		}
		got, _ := db.Statement(ctx, s.Key, st.ID)
		wantEqual(t, "terminal statement", got, st)
	}
}

func testEndStatement(t *testing.T, db Store) {
	ctx := t.Context()
	s := mustSession(t, db, epoch0)
	st := mustStatement(t, db, s.Key)
	unchanged := func() {
		t.Helper()
		now, _ := db.Statement(ctx, s.Key, st.ID)
		wantEqual(t, "statement after a refused end", now, st)
		of, _ := db.Session(ctx, s.Key)
		wantEqual(t, "session after a refused end", of.Version, int64(2))
	}
	_, err := db.EndStatement(ctx, s.Key, 0, func(st *statement.Statement, _ *session.Session) error {
		over(st, statement.Available)
		return errChange
	})
	wantError(t, "EndStatement refused by change", err, errChange)
	unchanged()
	// What the store refuses of one is not written of the other.
	_, err = db.EndStatement(ctx, s.Key, 0, func(st *statement.Statement, s *session.Session) error {
		over(st, statement.Available)
		s.State = session.Ended // without end time
		return nil
	})
	if err == nil {
		t.Fatal("EndStatement took a broken session")
	}
	unchanged()
	got, err := db.EndStatement(ctx, s.Key, 0, func(st *statement.Statement, s *session.Session) error {
		over(st, statement.Available)
		s.State, s.Open = session.Idle, 0
		return nil
	})
	wantError(t, "EndStatement", err, nil)
	now, _ := db.Statement(ctx, s.Key, 0)
	wantEqual(t, "statement", now, got)
	of, _ := db.Session(ctx, s.Key)
	wantEqual(t, "session", []any{of.State, of.Statements, of.Open}, []any{session.Idle, 1, 0})
}

// testStatementRace makes statements from many sides at once: no id is lost or
// given twice, and the session counts them.
func testStatementRace(t *testing.T, db Store) {
	s := mustSession(t, db, epoch0)
	const each, callers = 5, 8
	ids := make([][]int, callers)
	together(callers, func(i int) {
		for range each {
			st, err := db.CreateStatement(t.Context(), newStatement(s.Key), enqueue)
			if err != nil {
				t.Errorf("CreateStatement: %v", err)
				return
			}
			ids[i] = append(ids[i], st.ID)
			if i%2 == 0 {
				continue
			}
			_, err = db.EndStatement(t.Context(), s.Key, st.ID, func(st *statement.Statement, s *session.Session) error {
				over(st, statement.Cancelled)
				s.Open--
				return nil
			})
			if err != nil {
				t.Errorf("EndStatement: %v", err)
			}
		}
	})
	all := slices.Sorted(slices.Values(slices.Concat(ids...)))
	for want, got := range all {
		wantEqual(t, "id", got, want)
	}
	of, _ := db.Session(t.Context(), s.Key)
	wantEqual(t, "made and open", []int{len(all), of.Statements, of.Open}, []int{each * callers, each * callers, each * callers / 2})
}

func testStatementList(t *testing.T, db Store) {
	ctx := t.Context()
	s, other, idle := mustSession(t, db, epoch0), mustSession(t, db, epoch0), mustSession(t, db, epoch0)
	for range 12 {
		mustStatement(t, db, s.Key)
	}
	mustStatement(t, db, other.Key)
	mustStatement(t, db, idle.Key)
	for _, id := range []int{0, 1, 3} {
		_, err := db.UpdateStatement(ctx, s.Key, id, func(st *statement.Statement) error {
			over(st, statement.Available)
			st.Output.Text = strings.Repeat("x", 10000)
			return nil
		})
		wantError(t, "UpdateStatement", err, nil)
	}
	_, err := db.UpdateStatement(ctx, idle.Key, 0, func(st *statement.Statement) error { over(st, statement.Available); return nil })
	wantError(t, "UpdateStatement", err, nil)
	for _, c := range []struct {
		what               string
		from, limit, bytes int
		want               []int
	}{
		{"all", 0, 100, 1 << 20, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"by number", 9, 2, 1 << 20, []int{9, 10}},
		{"by bytes", 0, 100, 15000, []int{0, 1}},
		{"one at least", 3, 100, 1, []int{3}},
		{"behind the last", 12, 100, 1 << 20, nil},
	} {
		all, err := db.Statements(ctx, s.Key, c.from, c.limit, c.bytes)
		wantError(t, "Statements", err, nil)
		var got []int
		for _, one := range all {
			got = append(got, one.ID)
		}
		wantEqual(t, "statements "+c.what, got, c.want)
	}
	first, err := db.FirstOpen(ctx, s.Key)
	wantError(t, "FirstOpen", err, nil)
	wantEqual(t, "first that is open", first.ID, 2)
	_, err = db.FirstOpen(ctx, idle.Key)
	wantError(t, "FirstOpen of a session without", err, statement.ErrNotFound)
	open, err := db.OpenSessions(ctx)
	wantError(t, "OpenSessions", err, nil)
	slices.Sort(open)
	want := []session.Key{s.Key, other.Key}
	slices.Sort(want)
	wantEqual(t, "open sessions", open, want)
}

func testStatementsGoWithTheirSession(t *testing.T, db Store) {
	ctx := t.Context()
	s := mustSession(t, db, epoch0)
	mustStatement(t, db, s.Key)
	mustEnd(t, db, s.Key, epoch0.Add(time.Minute), session.Asked)
	wantError(t, "DeleteSession", db.DeleteSession(ctx, s.Key), nil)
	_, err := db.Statement(ctx, s.Key, 0)
	wantError(t, "Statement of a session that was deleted", err, statement.ErrNotFound)
	open, err := db.OpenSessions(ctx)
	wantError(t, "OpenSessions", err, nil)
	wantEqual(t, "open sessions", len(open), 0)
}
