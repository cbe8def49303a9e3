package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"glaux/internal/calc"
	"glaux/internal/ident"
	"glaux/internal/session"
	"glaux/internal/statement"
	"glaux/internal/store"
)

// crashWriter as the first argument makes the test binary a process that
// writes to the store named by the second one until it is killed.
const crashWriter = "crash-writer"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == crashWriter {
		if err := writeForever(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForever creates a session, runs calculations on it and ends it, over
// and over, and says on stdout what was acknowledged: "session KEY STATE
// VERSION" or "calculation ID STATE VERSION".
func writeForever(ctx context.Context, path string) error {
	db, err := store.Open(ctx, path)
	if err != nil {
		return err
	}
	said := func(s session.Session) { fmt.Println("session", s.Key, s.State, s.Version) }
	for {
		s := benchSession()
		if s, _, err = db.CreateSession(ctx, session.Creation{Session: s, Operation: "StartSession", Token: string(s.Key), Hash: []byte(s.Key)}); err != nil {
			return err
		}
		said(s)
		for range 3 {
			c := calc.Calculation{ID: ident.NewID(), Session: s.Key, Account: s.Account, Code: strings.Repeat("x", 5000), State: calc.Running, Submitted: time.Now()}
			c, _, err = db.CreateCalculation(ctx, calc.Creation{Calculation: c}, func(s *session.Session) error { s.State = session.Busy; return nil })
			if err != nil {
				return err
			}
			fmt.Println("calculation", c.ID, c.State, c.Version)
			c, s, err = db.EndCalculation(ctx, c.ID, func(c *calc.Calculation, s *session.Session) error {
				c.State, c.Completed, s.State = calc.Completed, time.Now(), session.Idle
				return nil
			})
			if err != nil {
				return err
			}
			fmt.Println("calculation", c.ID, c.State, c.Version)
			said(s)
		}
		if err := writeStatements(ctx, db, s.Key); err != nil {
			return err
		}
		s, err = db.UpdateSession(ctx, s.Key, func(s *session.Session) error {
			s.State, s.Cause, s.EndedAt = session.Ended, session.Asked, time.Now()
			return nil
		})
		if err != nil {
			return err
		}
		said(s)
	}
}

// writeStatements queues statements on the session and ends all but the last,
// and says of each "statement KEY/ID STATE VERSION".
func writeStatements(ctx context.Context, db *store.DB, key session.Key) error {
	said := func(st statement.Statement) { fmt.Printf("statement %s/%d %s %d\n", key, st.ID, st.State, st.Version) }
	for range 4 {
		st := statement.Statement{Session: key, Code: strings.Repeat("x", 5000), State: statement.Waiting, Submitted: time.Now()}
		st, err := db.CreateStatement(ctx, st, func(s *session.Session) (int, error) { return s.Enqueue(time.Now()) })
		if err != nil {
			return err
		}
		said(st)
	}
	for {
		st, err := db.FirstOpen(ctx, key)
		if err != nil || st.ID == 3 {
			return err
		}
		st, err = db.EndStatement(ctx, key, st.ID, func(st *statement.Statement, s *session.Session) error {
			if err := st.Move(statement.Broke, time.Now(), statement.Output{Text: "2"}); err != nil {
				return err
			}
			return s.Dequeue(time.Now())
		})
		if err != nil {
			return err
		}
		said(st)
	}
}

// TestKill kills a writing process at random moments. Whatever it had
// acknowledged is there afterwards, at that version or a later one, and a
// calculation is never over without its session knowing.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "glaux.db")
	said := map[string]string{} // the last word on each row
	for range 6 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], crashWriter, path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		until := 1 + rand.IntN(200)
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if what, rest, ok := strings.Cut(lines.Text(), " "); ok {
				id, state, _ := strings.Cut(rest, " ")
				said[what+" "+id] = state
			}
			if n == until {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the writer ended by itself")
		}
		checkAfterKill(t, path, said)
	}
	if len(said) < 10 {
		t.Fatalf("only %d rows were written", len(said))
	}
}

func checkAfterKill(t *testing.T, path string, said map[string]string) {
	t.Helper()
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	var verdict string
	if err := raw.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("integrity check: %q, %v", verdict, err)
	}
	var broken int
	if err := raw.QueryRowContext(t.Context(), "SELECT count(*) FROM pragma_foreign_key_check").Scan(&broken); err != nil || broken != 0 {
		t.Fatalf("%d foreign keys lead nowhere, %v", broken, err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	for row, want := range said {
		what, id, _ := strings.Cut(row, " ")
		var state string
		var version, atLeast int64
		if _, err := fmt.Sscan(want, &state, &atLeast); err != nil {
			t.Fatalf("cannot read %q: %v", want, err)
		}
		switch what {
		case "session":
			s, err := db.Session(t.Context(), session.Key(id))
			if err != nil {
				t.Fatalf("%s, acknowledged as %s: %v", row, want, err)
			}
			version, state = s.Version, string(s.State)
		case "calculation":
			c, err := db.Calculation(t.Context(), "000000000000", id)
			if err != nil {
				t.Fatalf("%s, acknowledged as %s: %v", row, want, err)
			}
			version, state = c.Version, string(c.State)
		case "statement":
			key, n, _ := strings.Cut(id, "/")
			number, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			st, err := db.Statement(t.Context(), session.Key(key), number)
			if err != nil {
				t.Fatalf("%s, acknowledged as %s: %v", row, want, err)
			}
			version, state = st.Version, string(st.State)
			checkQueue(t, db, session.Key(key))
		}
		if got := fmt.Sprint(state, " ", version); version < atLeast || version == atLeast && got != want {
			t.Errorf("%s is %s, was acknowledged as %s", row, got, want)
		}
	}
	running, err := db.Calculations(t.Context(), calc.Query{States: []calc.State{calc.Running}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range running {
		if s, err := db.Session(t.Context(), c.Session); err != nil || s.State != session.Busy {
			t.Errorf("calculation %s runs on a session that is %s, %v", c.ID, s.State, err)
		}
	}
}

// checkQueue compares what a session knows of its statements with them: ids
// without a gap, and as many open ones as it counts.
func checkQueue(t *testing.T, db *store.DB, key session.Key) {
	t.Helper()
	s, err := db.Session(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	all, err := db.Statements(t.Context(), key, 0, 100, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	open := 0
	for id, st := range all {
		if st.ID != id {
			t.Errorf("statement %d of session %s is %d", id, key, st.ID)
		}
		if !st.State.Terminal() {
			open++
		}
	}
	if len(all) != s.Statements || open != s.Open {
		t.Errorf("session %s counts %d statements, %d of them open; there are %d and %d", key, s.Statements, s.Open, len(all), open)
	}
}
