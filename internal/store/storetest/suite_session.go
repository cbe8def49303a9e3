package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"glaux/internal/session"
	"glaux/internal/workgroup"
)

func testSession(t *testing.T, db Store) {
	ctx := t.Context()
	_, err := db.Session(ctx, "nobody")
	wantError(t, "Session before it is there", err, session.ErrNotFound)
	_, err = db.FindSession(ctx, account, session.Athena, "nobody")
	wantError(t, "FindSession before it is there", err, session.ErrNotFound)
	_, err = db.UpdateSession(ctx, "nobody", func(*session.Session) error { return nil })
	wantError(t, "UpdateSession before it is there", err, session.ErrNotFound)

	s := mustSession(t, db, epoch0.Add(789*time.Nanosecond).In(time.FixedZone("here", 3600)))
	wantEqual(t, "version", s.Version, int64(1))
	wantEqual(t, "creation time, in UTC and microseconds", s.Created, epoch0)
	got, err := db.Session(ctx, s.Key)
	wantError(t, "Session", err, nil)
	wantEqual(t, "session", got, s)
	got, err = db.FindSession(ctx, account, session.Athena, s.ID)
	wantError(t, "FindSession", err, nil)
	wantEqual(t, "session found", got, s)
	for _, c := range []struct {
		account string
		face    session.Face
	}{{"111111111111", session.Athena}, {account, session.Glue}} {
		_, err = db.FindSession(ctx, c.account, c.face, s.ID)
		wantError(t, "FindSession elsewhere", err, session.ErrNotFound)
	}

	changed, err := db.UpdateSession(ctx, s.Key, func(s *session.Session) error {
		s.State, s.Changed, s.Handle = session.Launching, epoch0.Add(time.Second+7), []byte("h")
		return nil
	})
	wantError(t, "UpdateSession", err, nil)
	s.State, s.Changed, s.Handle, s.Version = session.Launching, epoch0.Add(time.Second), []byte("h"), 2
	wantEqual(t, "updated session", changed, s)
	got, _ = db.Session(ctx, s.Key)
	wantEqual(t, "session read again", got, s)
	_, err = db.UpdateSession(ctx, s.Key, func(s *session.Session) error { s.State = session.Idle; return errChange })
	wantError(t, "UpdateSession refused by change", err, errChange)
	got, _ = db.Session(ctx, s.Key)
	wantEqual(t, "session after a refused change", got, s)
}

func testSessionFields(t *testing.T, db Store) {
	ctx := t.Context()
	s := filled[session.Session]()
	s.Face, s.State, s.Desired, s.Cause, s.Version = session.Glue, session.Ended, session.Ended, session.Crashed, 1
	got, _, err := db.CreateSession(ctx, session.Creation{Session: s})
	wantError(t, "CreateSession", err, nil)
	wantEqual(t, "created session", got, s)
	got, err = db.Session(ctx, s.Key)
	wantError(t, "Session", err, nil)
	wantEqual(t, "session", got, s)

	// Every member survives an update, too.
	live := newSession(epoch0)
	_, _, err = db.CreateSession(ctx, session.Creation{Session: live})
	wantError(t, "CreateSession", err, nil)
	want := s
	want.Key, want.Account, want.Face, want.ID, want.Created, want.Version = live.Key, live.Account, live.Face, live.ID, live.Created, 2
	got, err = db.UpdateSession(ctx, live.Key, func(s *session.Session) error { *s = want; return nil })
	wantError(t, "UpdateSession", err, nil)
	wantEqual(t, "updated session", got, want)
	got, _ = db.Session(ctx, live.Key)
	wantEqual(t, "session after the update", got, want)

	got.Properties["spark.x"], got.Executors[0].Host, got.Handle[0] = "y", "z", 'z'
	again, _ := db.Session(ctx, live.Key)
	wantEqual(t, "session after somebody edited a copy", again, want)
}

func testSessionIdentity(t *testing.T, db Store) {
	ctx := t.Context()
	s := mustSession(t, db, epoch0)
	got, err := db.UpdateSession(ctx, s.Key, func(s *session.Session) error {
		s.Key, s.Account, s.Face, s.ID, s.Created = "other", "1", session.Glue, "other", time.Now()
		return nil
	})
	wantError(t, "UpdateSession", err, nil)
	s.Version = 2
	wantEqual(t, "session", got, s)

	twin := newSession(epoch0)
	twin.ID = s.ID
	if _, _, err := db.CreateSession(ctx, session.Creation{Session: twin}); err == nil {
		t.Fatal("CreateSession took an Athena id twice")
	}
	twin = newSession(epoch0)
	twin.Key = s.Key
	if _, _, err := db.CreateSession(ctx, session.Creation{Session: twin}); err == nil {
		t.Fatal("CreateSession took a key twice")
	}

}

func testGlueID(t *testing.T, db Store) {
	ctx := t.Context()
	glue := func(s *session.Session) { s.Face, s.ID = session.Glue, "etl/a b" }
	first := mustSession(t, db, epoch0, glue)
	mustEnd(t, db, first.Key, epoch0.Add(time.Second), session.Asked)
	again := newSession(epoch0.Add(time.Minute))
	glue(&again)
	_, _, err := db.CreateSession(ctx, session.Creation{Session: again})
	wantError(t, "CreateSession with the id of a session that has ended", err, session.ErrTaken)
	elsewhere := again
	elsewhere.Key, elsewhere.Account = "elsewhere", "111111111111"
	_, _, err = db.CreateSession(ctx, session.Creation{Session: elsewhere})
	wantError(t, "CreateSession with the same id in another account", err, nil)

	// One that was deleted gives its id away, whether it has ended or not.
	if _, err := db.UpdateSession(ctx, first.Key, func(s *session.Session) error { s.Deleted = true; return nil }); err != nil {
		t.Fatal(err)
	}
	_, err = db.FindSession(ctx, account, session.Glue, first.ID)
	wantError(t, "FindSession of a deleted session", err, session.ErrNotFound)
	second := mustSession(t, db, epoch0.Add(time.Minute), glue)
	found, err := db.FindSession(ctx, account, session.Glue, first.ID)
	wantError(t, "FindSession", err, nil)
	wantEqual(t, "session found by an id that was used before", found.Key, second.Key)
	if _, err := db.UpdateSession(ctx, second.Key, func(s *session.Session) error { s.Deleted = true; return nil }); err != nil {
		t.Fatal(err)
	}
	third := mustSession(t, db, epoch0.Add(2*time.Minute), glue)
	for shown, want := range map[session.Shown][]session.Key{
		session.All:         {third.Key, second.Key, first.Key},
		session.OnlyVisible: {third.Key},
		session.OnlyDeleted: {second.Key, first.Key},
	} {
		all, err := db.Sessions(ctx, session.Query{Account: account, Face: session.Glue, Deleted: shown})
		wantError(t, "Sessions", err, nil)
		var got []session.Key
		for _, s := range all {
			got = append(got, s.Key)
		}
		wantEqual(t, fmt.Sprint("sessions shown by ", shown), got, want)
	}
}

func testSessionTags(t *testing.T, db Store) {
	ctx := t.Context()
	tag := func(pairs ...string) (out []workgroup.Tag) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, workgroup.Tag{Key: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	var keys []session.Key
	for i, tags := range [][]workgroup.Tag{tag("owner", "a", "team", "x"), tag("owner", "a"), tag("owner", "b", "team", "x"), nil} {
		s := newSession(epoch0.Add(time.Duration(i) * time.Minute))
		s.Face = session.Glue
		_, _, err := db.CreateSession(ctx, session.Creation{Session: s, Tags: tags})
		wantError(t, "CreateSession", err, nil)
		keys = append(keys, s.Key)
	}
	for _, c := range []struct {
		tags []workgroup.Tag
		want []session.Key
	}{
		{tag("owner", "a"), []session.Key{keys[1], keys[0]}},
		{tag("owner", "a", "team", "x"), []session.Key{keys[0]}},
		{tag("owner", "c"), nil},
		{tag("a", "owner"), nil},
	} {
		all, err := db.Sessions(ctx, session.Query{Tags: c.tags})
		wantError(t, "Sessions", err, nil)
		var got []session.Key
		for _, s := range all {
			got = append(got, s.Key)
		}
		wantEqual(t, fmt.Sprint("sessions tagged ", c.tags), got, c.want)
	}

	err := db.ChangeSessionTags(ctx, keys[3], func(have []workgroup.Tag) ([]workgroup.Tag, error) {
		wantEqual(t, "tags before", len(have), 0)
		return tag("z", "1", "b", "2"), nil
	})
	wantError(t, "ChangeSessionTags", err, nil)
	got, err := db.SessionTags(ctx, keys[3])
	wantError(t, "SessionTags", err, nil)
	wantEqual(t, "tags, in order", got, tag("b", "2", "z", "1"))
	err = db.ChangeSessionTags(ctx, keys[3], func([]workgroup.Tag) ([]workgroup.Tag, error) { return nil, errChange })
	wantError(t, "ChangeSessionTags refused by change", err, errChange)
	_, err = db.SessionTags(ctx, "nobody")
	wantError(t, "SessionTags of nobody", err, session.ErrNotFound)
	err = db.ChangeSessionTags(ctx, "nobody", func([]workgroup.Tag) ([]workgroup.Tag, error) { return nil, nil })
	wantError(t, "ChangeSessionTags of nobody", err, session.ErrNotFound)
}

func testSessionRefused(t *testing.T, db Store) {
	ctx := t.Context()
	for what, edit := range map[string]func(*session.Session){
		"an end without its time":  func(s *session.Session) { s.State, s.Cause = session.Ended, session.Asked },
		"an end without a cause":   func(s *session.Session) { s.State, s.EndedAt = session.Ended, epoch0 },
		"an end time without end":  func(s *session.Session) { s.EndedAt = epoch0 },
		"an end time of a session": func(s *session.Session) { s.State, s.EndedAt = session.Stopping, epoch0 },
	} {
		s := newSession(epoch0)
		edit(&s)
		if _, _, err := db.CreateSession(ctx, session.Creation{Session: s}); err == nil {
			t.Errorf("CreateSession took %s", what)
		}
		s = mustSession(t, db, epoch0)
		if _, err := db.UpdateSession(ctx, s.Key, func(s *session.Session) error { edit(s); return nil }); err == nil {
			t.Errorf("UpdateSession took %s", what)
		}
		got, _ := db.Session(ctx, s.Key)
		wantEqual(t, "session after a refused update", got, s)
	}
}

func testEndedIsFinal(t *testing.T, db Store) {
	ctx := t.Context()
	s := mustSession(t, db, epoch0)
	s = mustEnd(t, db, s.Key, epoch0.Add(time.Minute), session.Crashed)
	for what, change := range map[string]func(*session.Session){
		"another state":    func(s *session.Session) { s.State, s.EndedAt = session.Idle, time.Time{} },
		"another end time": func(s *session.Session) { s.EndedAt = epoch0 },
		"another cause":    func(s *session.Session) { s.Cause = session.Asked },
	} {
		if _, err := db.UpdateSession(ctx, s.Key, func(s *session.Session) error { change(s); return nil }); err == nil {
			t.Errorf("an ended session took %s", what)
		}
		got, _ := db.Session(ctx, s.Key)
		wantEqual(t, "ended session", got, s)
	}
	got, err := db.UpdateSession(ctx, s.Key, func(s *session.Session) error { s.Handle, s.Lived = nil, time.Hour; return nil })
	wantError(t, "UpdateSession of what may change after the end", err, nil)
	wantEqual(t, "Lived", got.Lived, time.Hour)
}

func testSessionUpdateRace(t *testing.T, db Store) {
	ctx := t.Context()
	s := mustSession(t, db, epoch0)
	together(8, func(int) {
		for range 10 {
			if _, err := db.UpdateSession(ctx, s.Key, func(s *session.Session) error { s.DPUs++; return nil }); err != nil {
				t.Errorf("UpdateSession: %v", err)
			}
		}
	})
	s, _ = db.Session(ctx, s.Key)
	wantEqual(t, "updates and versions", [2]int{s.DPUs, int(s.Version)}, [2]int{80, 81})

	// Two that both want to end it: one does, the other sees that.
	errLate := errors.New("too late")
	var won, late atomic.Int32
	together(2, func(i int) {
		_, err := db.UpdateSession(ctx, s.Key, func(s *session.Session) error {
			if s.State == session.Ended {
				return errLate
			}
			return end(epoch0, []session.Cause{session.Asked, session.Crashed}[i])(s)
		})
		switch {
		case err == nil:
			won.Add(1)
		case errors.Is(err, errLate):
			late.Add(1)
		}
	})
	wantEqual(t, "winners and losers", [2]int32{won.Load(), late.Load()}, [2]int32{1, 1})
}

// testReadYourWrites reads while others write: a version that somebody has
// seen or written is never followed by an older one.
func testReadYourWrites(t *testing.T, db Store) {
	ctx := t.Context()
	s := mustSession(t, db, epoch0)
	var seen atomic.Int64
	together(8, func(i int) {
		for range 50 {
			atLeast := seen.Load()
			var got session.Session
			var err error
			switch i % 4 {
			case 0:
				got, err = db.UpdateSession(ctx, s.Key, func(s *session.Session) error { s.DPUs++; return nil })
			case 1:
				got, err = db.FindSession(ctx, account, session.Athena, s.ID)
			default:
				got, err = db.Session(ctx, s.Key)
			}
			if err != nil || got.Version < atLeast || int64(got.DPUs) != got.Version-1 {
				t.Errorf("version %d with %d changes, after version %d; error %v", got.Version, got.DPUs, atLeast, err)
			}
			for now := seen.Load(); now < got.Version && !seen.CompareAndSwap(now, got.Version); now = seen.Load() {
			}
		}
	})
}

func testSessionLimits(t *testing.T, db Store) {
	ctx := t.Context()
	first := mustSession(t, db, epoch0)
	mustSession(t, db, epoch0)
	_, _, err := db.CreateSession(ctx, session.Creation{Session: newSession(epoch0), MaxLive: 2})
	wantError(t, "CreateSession beyond MaxLive", err, session.ErrTooMany)
	mustEnd(t, db, first.Key, epoch0, session.Asked)
	_, _, err = db.CreateSession(ctx, session.Creation{Session: newSession(epoch0), MaxLive: 2})
	wantError(t, "CreateSession once one has ended", err, nil)

	full := errors.New("no budget has room")
	_, _, err = db.CreateSession(ctx, session.Creation{Session: newSession(epoch0), Refused: full})
	wantError(t, "CreateSession that is refused", err, full)

	withNotebook := newSession(epoch0)
	withNotebook.NotebookID = "n"
	_, _, err = db.CreateSession(ctx, session.Creation{Session: withNotebook})
	wantError(t, "CreateSession of a notebook", err, nil)
	again := newSession(epoch0)
	again.NotebookID = "n"
	_, _, err = db.CreateSession(ctx, session.Creation{Session: again})
	wantError(t, "CreateSession of a notebook that has one", err, session.ErrNotebookBusy)
	mustEnd(t, db, withNotebook.Key, epoch0, session.Asked)
	_, _, err = db.CreateSession(ctx, session.Creation{Session: again})
	wantError(t, "CreateSession of a notebook whose session has ended", err, nil)
}

func testSessionLimitRace(t *testing.T, db Store) {
	var made, refused atomic.Int32
	together(10, func(int) {
		switch _, _, err := db.CreateSession(t.Context(), session.Creation{Session: newSession(epoch0), MaxLive: 3}); {
		case err == nil:
			made.Add(1)
		case errors.Is(err, session.ErrTooMany):
			refused.Add(1)
		}
	})
	wantEqual(t, "made and refused", [2]int32{made.Load(), refused.Load()}, [2]int32{3, 7})
}

func testSessionToken(t *testing.T, db Store) {
	ctx := t.Context()
	create := func(operation, token, hash string, max int) (session.Session, bool, error) {
		return db.CreateSession(ctx, session.Creation{
			Session: newSession(epoch0), Operation: operation, Token: token, Hash: []byte(hash), MaxLive: max,
			Tags: []workgroup.Tag{{Key: "k"}},
		})
	}
	s, isNew, err := create("StartSession", "t", "h", 0)
	wantError(t, "CreateSession", err, nil)
	wantEqual(t, "created", isNew, true)
	ended := mustEnd(t, db, s.Key, epoch0, session.Asked)
	got, isNew, err := create("StartSession", "t", "h", 1)
	wantError(t, "CreateSession with a used token", err, nil)
	wantEqual(t, "created again", isNew, false)
	wantEqual(t, "the session it made then, as it is now", got, ended)
	_, _, err = create("StartSession", "t", "other", 0)
	wantError(t, "CreateSession with a used token and another hash", err, session.ErrTokenUsed)
	_, isNew, err = create("Other", "t", "other", 0)
	wantError(t, "CreateSession with the token of another operation", err, nil)
	wantEqual(t, "created", isNew, true)

	// A refused creation uses up no token.
	_, _, err = create("StartSession", "u", "h", 1)
	wantError(t, "CreateSession beyond MaxLive", err, session.ErrTooMany)
	_, isNew, err = create("StartSession", "u", "other", 0)
	wantError(t, "CreateSession with the token of a refused one", err, nil)
	wantEqual(t, "created", isNew, true)
	// The same token does what it did, however full it is.
	_, isNew, err = create("StartSession", "u", "other", 1)
	wantError(t, "CreateSession with a used token beyond MaxLive", err, nil)
	wantEqual(t, "created", isNew, false)
	_, isNew, err = db.CreateSession(ctx, session.Creation{
		Session: newSession(epoch0), Operation: "StartSession", Token: "u", Hash: []byte("other"), Refused: errors.New("no budget has room"),
	})
	wantError(t, "CreateSession with a used token that is refused", err, nil)
	wantEqual(t, "created", isNew, false)
	for range 2 {
		_, isNew, err = create("StartSession", "", "h", 0)
		wantError(t, "CreateSession without token", err, nil)
		wantEqual(t, "created", isNew, true)
	}
}

func testSessionTokenRace(t *testing.T, db Store) {
	var made atomic.Int32
	var mu sync.Mutex
	keys := map[session.Key]bool{}
	together(8, func(int) {
		s, isNew, err := db.CreateSession(t.Context(), session.Creation{Session: newSession(epoch0), Operation: "op", Token: "t", Hash: []byte("h")})
		if err != nil {
			t.Errorf("CreateSession: %v", err)
		}
		if isNew {
			made.Add(1)
		}
		mu.Lock()
		defer mu.Unlock()
		keys[s.Key] = true
	})
	wantEqual(t, "sessions made and seen", [2]int{int(made.Load()), len(keys)}, [2]int{1, 1})
}

func testSessionList(t *testing.T, db Store) {
	ctx := t.Context()
	at := func(n int) time.Time { return epoch0.Add(time.Duration(n) * time.Minute) }
	name := map[session.Key]string{}
	add := func(n string, minute int, edit func(*session.Session)) {
		name[mustSession(t, db, at(minute), edit).Key] = n
	}
	ended := func(minute int, cause session.Cause) func(*session.Session) {
		return func(s *session.Session) {
			s.State, s.Cause, s.EndedAt = session.Ended, cause, at(minute)
		}
	}
	add("a", 1, func(s *session.Session) { s.State = session.Idle })
	add("b", 2, ended(50, session.Crashed))
	add("c", 3, ended(60, session.Asked))
	add("d", 4, func(s *session.Session) { s.Workgroup = "other" })
	add("e", 5, func(s *session.Session) { s.Face = session.Glue })
	add("f", 6, func(s *session.Session) { s.Account = "111111111111" })
	for _, c := range []struct {
		q    session.Query
		want string
	}{
		{session.Query{}, "f e d c b a"},
		{session.Query{Limit: 2}, "f e"},
		{session.Query{Account: account}, "e d c b a"},
		{session.Query{Account: account, Face: session.Athena}, "d c b a"},
		{session.Query{Account: account, Face: session.Athena, Workgroup: "spark"}, "c b a"},
		{session.Query{States: []session.State{session.Idle, session.Ended}}, "c b a"},
		{session.Query{States: []session.State{session.Ended}, Causes: []session.Cause{session.Crashed}}, "b"},
		{session.Query{Account: account, Causes: []session.Cause{session.Asked, session.Expired}}, "e d c a"},
		{session.Query{EndedBy: at(55)}, "b"},
		{session.Query{EndedBy: at(60)}, "c b"},
		{session.Query{After: session.Cursor{Time: at(4), ID: "\xff"}}, "d c b a"},
		{session.Query{After: session.Cursor{Time: at(4), ID: " "}}, "c b a"},
		{session.Query{After: session.Cursor{Time: at(1), ID: " "}}, ""},
	} {
		all, err := db.Sessions(ctx, c.q)
		wantError(t, "Sessions", err, nil)
		got := ""
		for i, s := range all {
			if i > 0 {
				got += " "
			}
			got += name[s.Key]
		}
		wantEqual(t, fmt.Sprintf("sessions of %+v", c.q), got, c.want)
	}
}

// testSessionPaging pages through a list while rows are added: everything
// that was there at the beginning is seen once, in order, though many rows
// have the same time.
func testSessionPaging(t *testing.T, db Store) {
	ctx := t.Context()
	want := map[session.Key]bool{}
	for i := range 40 {
		want[mustSession(t, db, epoch0.Add(time.Duration(i/10)*time.Second)).Key] = true
	}
	var seen []session.Session
	var cursor session.Cursor
	for {
		mustSession(t, db, epoch0.Add(time.Hour)) // newer than all: pushes offsets, not cursors
		part, err := db.Sessions(ctx, session.Query{Account: account, After: cursor, Limit: 7})
		wantError(t, "Sessions", err, nil)
		if len(part) == 0 {
			break
		}
		seen = append(seen, part...)
		last := part[len(part)-1]
		cursor = session.Cursor{Time: last.Created, ID: string(last.Key)}
	}
	wantEqual(t, "order of the pages", slices.IsSortedFunc(seen, func(a, b session.Session) int {
		return newestFirst(a.Created, b.Created, string(a.Key), string(b.Key))
	}), true)
	seenOnce := map[session.Key]bool{}
	for _, s := range seen {
		if seenOnce[s.Key] {
			t.Fatalf("session %s is on two pages", s.Key)
		}
		seenOnce[s.Key] = true
		delete(want, s.Key)
	}
	wantEqual(t, "sessions on no page", len(want), 0)
}

func testSessionDelete(t *testing.T, db Store) {
	ctx := t.Context()
	new := session.Creation{Session: newSession(epoch0), Operation: "op", Token: "t", Hash: []byte("h")}
	s, _, err := db.CreateSession(ctx, new)
	wantError(t, "CreateSession", err, nil)
	c := mustCalculation(t, db, s.Key, epoch0)
	other := mustSession(t, db, epoch0)
	kept := mustCalculation(t, db, other.Key, epoch0)
	if err := db.DeleteSession(ctx, s.Key); err == nil {
		t.Fatal("DeleteSession removed a live session")
	}
	mustEnd(t, db, s.Key, epoch0, session.Asked)
	wantError(t, "DeleteSession", db.DeleteSession(ctx, s.Key), nil)
	wantError(t, "DeleteSession again", db.DeleteSession(ctx, s.Key), nil)
	_, err = db.Session(ctx, s.Key)
	wantError(t, "Session after it was removed", err, session.ErrNotFound)
	_, err = db.Calculation(ctx, account, c.ID)
	wantErrorCalculationGone(t, err)
	_, err = db.Tags(ctx, workgroup.Resource{Account: account, Workgroup: s.Workgroup, Session: s.ID})
	wantError(t, "Tags of a removed session", err, workgroup.ErrNotFound)
	new.Session, new.Hash = newSession(epoch0), []byte("other")
	_, isNew, err := db.CreateSession(ctx, new)
	wantError(t, "CreateSession with the token of a removed session", err, nil)
	wantEqual(t, "created", isNew, true)
	_, err = db.Calculation(ctx, account, kept.ID)
	wantError(t, "Calculation of another session", err, nil)
}

func testEpoch(t *testing.T, db Store) {
	var mu sync.Mutex
	seen := map[uint64]bool{}
	together(8, func(int) {
		n, err := db.NextEpoch(t.Context())
		if err != nil {
			t.Errorf("NextEpoch: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		seen[n] = true
	})
	for n := range uint64(8) {
		if !seen[n+1] {
			t.Fatalf("epochs %v lack %d", seen, n+1)
		}
	}
}
