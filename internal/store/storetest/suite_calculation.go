package storetest

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"glaux/internal/calc"
	"glaux/internal/ident"
	"glaux/internal/session"
)

func wantErrorCalculationGone(t *testing.T, err error) {
	t.Helper()
	wantError(t, "Calculation that is not there", err, calc.ErrNotFound)
}

// nothing is a change of a session that changes nothing.
func nothing(*session.Session) error { return nil }

// newCalculation is a calculation that can be written.
func newCalculation(key session.Key) calc.Calculation {
	return calc.Calculation{ID: ident.NewID(), Session: key, Account: account, Code: "1+1", State: calc.Creating, Submitted: epoch0}
}

// busy is how a calculation begins: the session is taken, or refuses.
func busy(s *session.Session) error {
	if s.State == session.Busy {
		return errChange
	}
	s.State = session.Busy
	return nil
}

func testCalculation(t *testing.T, db Store) {
	ctx := t.Context()
	_, err := db.Calculation(ctx, account, "nobody")
	wantErrorCalculationGone(t, err)
	_, err = db.UpdateCalculation(ctx, "nobody", func(*calc.Calculation) error { return nil })
	wantErrorCalculationGone(t, err)
	_, _, err = db.EndCalculation(ctx, "nobody", func(*calc.Calculation, *session.Session) error { return nil })
	wantErrorCalculationGone(t, err)
	_, _, err = db.CreateCalculation(ctx, calc.Creation{Calculation: newCalculation("nobody")}, nothing)
	wantError(t, "CreateCalculation of no session", err, session.ErrNotFound)

	s := mustSession(t, db, epoch0)
	want := newCalculation(s.Key)
	got, isNew, err := db.CreateCalculation(ctx, calc.Creation{Calculation: want}, busy)
	wantError(t, "CreateCalculation", err, nil)
	wantEqual(t, "created", isNew, true)
	want.Version = 1
	wantEqual(t, "created calculation", got, want)
	got, err = db.Calculation(ctx, account, want.ID)
	wantError(t, "Calculation", err, nil)
	wantEqual(t, "calculation", got, want)
	_, err = db.Calculation(ctx, "111111111111", want.ID)
	wantErrorCalculationGone(t, err)
	now, _ := db.Session(ctx, s.Key)
	wantEqual(t, "session's state and version", []any{now.State, now.Version}, []any{session.Busy, int64(2)})

	refused := newCalculation(s.Key)
	_, _, err = db.CreateCalculation(ctx, calc.Creation{Calculation: refused}, busy)
	wantError(t, "CreateCalculation refused by begin", err, errChange)
	_, err = db.Calculation(ctx, account, refused.ID)
	wantErrorCalculationGone(t, err)
	again, _ := db.Session(ctx, s.Key)
	wantEqual(t, "session after a refused calculation", again, now)

	got, err = db.UpdateCalculation(ctx, want.ID, func(c *calc.Calculation) error {
		c.ID, c.Session, c.Account, c.Code, c.Submitted = "x", "x", "x", "x", time.Now() // never change
		c.State, c.Progress.Total = calc.Running, 4
		return nil
	})
	wantError(t, "UpdateCalculation", err, nil)
	want.State, want.Progress.Total, want.Version = calc.Running, 4, 2
	wantEqual(t, "updated calculation", got, want)
	got, _ = db.Calculation(ctx, account, want.ID)
	wantEqual(t, "calculation read again", got, want)
	_, err = db.UpdateCalculation(ctx, want.ID, func(c *calc.Calculation) error { c.State = calc.Failed; return errChange })
	wantError(t, "UpdateCalculation refused by change", err, errChange)
}

func testCalculationFields(t *testing.T, db Store) {
	ctx := t.Context()
	s := mustSession(t, db, epoch0)
	want := filled[calc.Calculation]()
	want.Session, want.Account, want.State, want.Version = s.Key, account, calc.Completed, 1
	want.Code = strings.Repeat("é\x00\r\n", 17000) // 68,000 characters
	got, _, err := db.CreateCalculation(ctx, calc.Creation{Calculation: want}, nothing)
	wantError(t, "CreateCalculation", err, nil)
	wantEqual(t, "created calculation", got, want)
	got, err = db.Calculation(ctx, account, want.ID)
	wantError(t, "Calculation", err, nil)
	wantEqual(t, "calculation", got, want)

	live := newCalculation(s.Key)
	_, _, err = db.CreateCalculation(ctx, calc.Creation{Calculation: live}, nothing)
	wantError(t, "CreateCalculation", err, nil)
	want.ID, want.Code, want.Submitted, want.Version = live.ID, live.Code, live.Submitted, 2
	got, err = db.UpdateCalculation(ctx, live.ID, func(c *calc.Calculation) error { *c = want; return nil })
	wantError(t, "UpdateCalculation", err, nil)
	wantEqual(t, "updated calculation", got, want)
	got, _ = db.Calculation(ctx, account, live.ID)
	wantEqual(t, "calculation after the update", got, want)
}

func testCalculationToken(t *testing.T, db Store) {
	ctx := t.Context()
	s := mustSession(t, db, epoch0)
	create := func(token, hash string, begin func(*session.Session) error) (calc.Calculation, bool, error) {
		return db.CreateCalculation(ctx, calc.Creation{Calculation: newCalculation(s.Key), Operation: "op", Token: token, Hash: []byte(hash)}, begin)
	}
	_, _, err := create("t", "x", func(*session.Session) error { return errChange })
	wantError(t, "CreateCalculation refused by begin", err, errChange)
	c, isNew, err := create("t", "h", busy)
	wantError(t, "CreateCalculation", err, nil)
	wantEqual(t, "created", isNew, true)
	never := func(*session.Session) error { t.Error("begin was called for a used token"); return nil }
	got, isNew, err := create("t", "h", never)
	wantError(t, "CreateCalculation with a used token", err, nil)
	wantEqual(t, "created again", isNew, false)
	wantEqual(t, "the calculation it made then", got, c)
	_, _, err = create("t", "other", never)
	wantError(t, "CreateCalculation with a used token and another hash", err, session.ErrTokenUsed)
	// Sessions and calculations share no tokens unless they share the operation.
	_, isNew, err = db.CreateSession(ctx, session.Creation{Session: newSession(epoch0), Operation: "StartSession", Token: "t", Hash: []byte("h")})
	wantError(t, "CreateSession with a calculation's token", err, nil)
	wantEqual(t, "created", isNew, true)
}

func testCalculationTokenRace(t *testing.T, db Store) {
	s := mustSession(t, db, epoch0)
	var made, same atomic.Int32
	together(8, func(int) {
		n := calc.Creation{Calculation: newCalculation(s.Key), Operation: "op", Token: "t", Hash: []byte("h")}
		c, isNew, err := db.CreateCalculation(t.Context(), n, busy)
		switch {
		case err != nil:
			t.Errorf("CreateCalculation: %v", err) // not even that the session is busy: it is so for this very token
		case isNew:
			made.Add(1)
		case c.ID != n.Calculation.ID:
			same.Add(1)
		}
	})
	wantEqual(t, "made and found", [2]int32{made.Load(), same.Load()}, [2]int32{1, 7})
}

func testBeginRace(t *testing.T, db Store) {
	s := mustSession(t, db, epoch0)
	var made, refused atomic.Int32
	together(8, func(int) {
		switch _, _, err := db.CreateCalculation(t.Context(), calc.Creation{Calculation: newCalculation(s.Key)}, busy); {
		case err == nil:
			made.Add(1)
		case errors.Is(err, errChange):
			refused.Add(1)
		}
	})
	wantEqual(t, "made and refused", [2]int32{made.Load(), refused.Load()}, [2]int32{1, 7})
	all, err := db.Calculations(t.Context(), calc.Query{Session: s.Key})
	wantError(t, "Calculations", err, nil)
	wantEqual(t, "number of calculations", len(all), 1)
}

func testTerminalIsFinal(t *testing.T, db Store) {
	ctx := t.Context()
	s := mustSession(t, db, epoch0)
	for _, state := range []calc.State{calc.Completed, calc.Failed, calc.Canceled} {
		c := mustCalculation(t, db, s.Key, epoch0)
		for what, edit := range map[string]func(*calc.Calculation){
			"an end without its time": func(c *calc.Calculation) { c.State = state },
			"an end time without end": func(c *calc.Calculation) { c.Completed = epoch0 },
		} {
			if _, err := db.UpdateCalculation(ctx, c.ID, func(c *calc.Calculation) error { edit(c); return nil }); err == nil {
				t.Errorf("a calculation took %s", what)
			}
		}
		c, err := db.UpdateCalculation(ctx, c.ID, func(c *calc.Calculation) error { c.State, c.Completed = state, epoch0; return nil })
		wantError(t, "UpdateCalculation", err, nil)
		for what, edit := range map[string]func(*calc.Calculation){
			"another state": func(c *calc.Calculation) { c.State, c.Completed = calc.Running, time.Time{} },
			"another terminal state": func(c *calc.Calculation) {
				c.State = map[bool]calc.State{true: calc.Failed, false: calc.Completed}[state == calc.Completed]
			},
			"another end time": func(c *calc.Calculation) { c.Completed = epoch0.Add(time.Second) },
		} {
			if _, err := db.UpdateCalculation(ctx, c.ID, func(c *calc.Calculation) error { edit(c); return nil }); err == nil {
				t.Errorf("a %s calculation took %s", state, what)
			}
			_, _, err := db.EndCalculation(ctx, c.ID, func(c *calc.Calculation, _ *session.Session) error { edit(c); return nil })
			if err == nil {
				t.Errorf("a %s calculation took %s at its end", state, what)
			}
		}
		got, _ := db.Calculation(ctx, account, c.ID)
		wantEqual(t, "terminal calculation", got, c)
	}
}

func testEndCalculation(t *testing.T, db Store) {
	ctx := t.Context()
	s := mustSession(t, db, epoch0)
	c := mustCalculation(t, db, s.Key, epoch0)
	unchanged := func() {
		t.Helper()
		nowC, _ := db.Calculation(ctx, account, c.ID)
		nowS, _ := db.Session(ctx, s.Key)
		wantEqual(t, "calculation after a refused end", nowC, c)
		wantEqual(t, "session after a refused end", nowS.Version, int64(2))
	}
	_, _, err := db.EndCalculation(ctx, c.ID, func(c *calc.Calculation, _ *session.Session) error {
		c.State, c.Completed = calc.Completed, epoch0
		return errChange
	})
	wantError(t, "EndCalculation refused by change", err, errChange)
	unchanged()
	// What the store refuses of one is not written of the other.
	_, _, err = db.EndCalculation(ctx, c.ID, func(c *calc.Calculation, s *session.Session) error {
		c.State, c.Completed = calc.Completed, epoch0
		s.State = session.Ended // without end time
		return nil
	})
	if err == nil {
		t.Fatal("EndCalculation took a broken session")
	}
	unchanged()
	gotC, gotS, err := db.EndCalculation(ctx, c.ID, func(c *calc.Calculation, s *session.Session) error {
		c.State, c.Completed = calc.Completed, epoch0.Add(time.Second)
		s.State, s.IdleSince = session.Idle, epoch0.Add(time.Second)
		return nil
	})
	wantError(t, "EndCalculation", err, nil)
	wantEqual(t, "states", []any{gotC.State, gotS.State}, []any{calc.Completed, session.Idle})
	nowC, _ := db.Calculation(ctx, account, c.ID)
	nowS, _ := db.Session(ctx, s.Key)
	wantEqual(t, "calculation", nowC, gotC)
	wantEqual(t, "session", nowS, gotS)
}

// testEndRace ends a calculation while others write its session and progress:
// nothing is lost, and neither row is written without the other.
func testEndRace(t *testing.T, db Store) {
	ctx := t.Context()
	s := mustSession(t, db, epoch0)
	c := mustCalculation(t, db, s.Key, epoch0)
	together(6, func(i int) {
		var err error
		switch i % 3 {
		case 0:
			_, _, err = db.EndCalculation(ctx, c.ID, func(c *calc.Calculation, s *session.Session) error {
				c.DPUMillis++
				s.Lived++
				return nil
			})
		case 1:
			_, err = db.UpdateSession(ctx, s.Key, func(s *session.Session) error { s.DPUs++; return nil })
		case 2:
			_, err = db.UpdateCalculation(ctx, c.ID, func(c *calc.Calculation) error { c.Progress.Done++; return nil })
		}
		if err != nil {
			t.Errorf("update %d: %v", i, err)
		}
	})
	c, _ = db.Calculation(ctx, account, c.ID)
	s, _ = db.Session(ctx, s.Key)
	wantEqual(t, "counts", []int{int(c.DPUMillis), c.Progress.Done, int(s.Lived), s.DPUs}, []int{2, 2, 2, 2})
}

func testCalculationList(t *testing.T, db Store) {
	ctx := t.Context()
	s, other := mustSession(t, db, epoch0), mustSession(t, db, epoch0)
	var ids []string
	for i := range 5 {
		ids = append(ids, mustCalculation(t, db, s.Key, epoch0.Add(time.Duration(i)*time.Second)).ID)
	}
	mustCalculation(t, db, other.Key, epoch0)
	_, err := db.UpdateCalculation(ctx, ids[3], func(c *calc.Calculation) error { c.State = calc.Canceling; return nil })
	wantError(t, "UpdateCalculation", err, nil)
	for _, c := range []struct {
		what string
		q    calc.Query
		want []string
	}{
		{"of a session", calc.Query{Session: s.Key}, []string{ids[4], ids[3], ids[2], ids[1], ids[0]}},
		{"first two", calc.Query{Session: s.Key, Limit: 2}, []string{ids[4], ids[3]}},
		{"next two", calc.Query{Session: s.Key, Limit: 2, After: session.Cursor{Time: epoch0.Add(3 * time.Second), ID: ids[3]}}, []string{ids[2], ids[1]}},
		{"by state", calc.Query{Session: s.Key, States: []calc.State{calc.Canceling, calc.Failed}}, []string{ids[3]}},
		{"of another account", calc.Query{Session: s.Key, Account: "111111111111"}, nil},
	} {
		all, err := db.Calculations(ctx, c.q)
		wantError(t, "Calculations", err, nil)
		var got []string
		for _, one := range all {
			got = append(got, one.ID)
			wantEqual(t, "code in a list", one.Code, "")
		}
		wantEqual(t, "calculations "+c.what, got, c.want)
	}
	all, err := db.Calculations(ctx, calc.Query{})
	wantError(t, "Calculations", err, nil)
	wantEqual(t, "number of all calculations", len(all), 6)
}
