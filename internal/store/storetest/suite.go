package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"glaux/internal/access"
	"glaux/internal/calc"
	"glaux/internal/ident"
	"glaux/internal/resource"
	"glaux/internal/session"
	"glaux/internal/statement"
	"glaux/internal/workgroup"
)

// Store is everything the suite tests.
type Store interface {
	workgroup.Store
	session.Store
	session.TagStore
	calc.Store
	statement.Store
	resource.Store
	Access
}

// Access is what package access keeps.
type Access interface {
	access.KeyStore
	access.TicketStore
}

// Run tests that a store keeps the promises of the interfaces it implements.
// open returns an empty store for one test; the test does not close it.
func Run(t *testing.T, open func(*testing.T) Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Store)
	}{
		{"workgroup", testWorkgroup},
		{"workgroup fields", testWorkgroupFields},
		{"workgroup quota", testWorkgroupQuota},
		{"workgroup list", testWorkgroupList},
		{"workgroup create race", testWorkgroupCreateRace},
		{"workgroup update race", testWorkgroupUpdateRace},
		{"workgroup with sessions", testWorkgroupNotEmpty},
		{"tags", testTags},
		{"tags race", testTagsRace},
		{"session", testSession},
		{"session fields", testSessionFields},
		{"session identity", testSessionIdentity},
		{"Glue id", testGlueID},
		{"session tags", testSessionTags},
		{"session refused", testSessionRefused},
		{"session ended is final", testEndedIsFinal},
		{"session update race", testSessionUpdateRace},
		{"session read your writes", testReadYourWrites},
		{"session limits", testSessionLimits},
		{"session limit race", testSessionLimitRace},
		{"session token", testSessionToken},
		{"session token race", testSessionTokenRace},
		{"session list", testSessionList},
		{"session paging", testSessionPaging},
		{"session delete", testSessionDelete},
		{"epoch", testEpoch},
		{"calculation", testCalculation},
		{"calculation fields", testCalculationFields},
		{"calculation token", testCalculationToken},
		{"calculation token race", testCalculationTokenRace},
		{"calculation begin race", testBeginRace},
		{"calculation terminal is final", testTerminalIsFinal},
		{"calculation end", testEndCalculation},
		{"calculation end race", testEndRace},
		{"calculation list", testCalculationList},
		{"statement", testStatement},
		{"statement fields", testStatementFields},
		{"statement terminal is final", testStatementTerminalIsFinal},
		{"statement end", testEndStatement},
		{"statement race", testStatementRace},
		{"statement list", testStatementList},
		{"statement delete", testStatementsGoWithTheirSession},
		{"item", testItem},
		{"item list", testItemList},
		{"item tags", testItemTags},
		{"item race", testItemRace},
		{"keys", testKeys},
		{"ui tickets", testTickets},
		{"ui ticket race", testTicketRace},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open(t))
		})
	}
}

const account = "000000000000"

// epoch0 is when the suite's rows are created.
var epoch0 = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// errChange is what a change function returns to refuse.
var errChange = errors.New("changed my mind")

// newSession is a session that can be written.
func newSession(created time.Time) session.Session {
	id := ident.NewID()
	return session.Session{
		Key: session.Key(id), Account: account, Face: session.Athena, ID: id, Workgroup: "spark",
		Desired: session.Idle, State: session.Queued, Created: created, Changed: created,
	}
}

// mustSession writes a new session.
func mustSession(t *testing.T, db Store, created time.Time, edit ...func(*session.Session)) session.Session {
	t.Helper()
	s := newSession(created)
	for _, e := range edit {
		e(&s)
	}
	s, isNew, err := db.CreateSession(t.Context(), session.Creation{Session: s})
	if err != nil || !isNew {
		t.Fatalf("CreateSession: created %v, error %v", isNew, err)
	}
	return s
}

// end is a change that ends a session.
func end(at time.Time, cause session.Cause) func(*session.Session) error {
	return func(s *session.Session) error {
		s.State, s.Cause, s.EndedAt, s.Changed, s.Reason = session.Ended, cause, at, at, "It is over."
		return nil
	}
}

// mustEnd ends a session.
func mustEnd(t *testing.T, db Store, key session.Key, at time.Time, cause session.Cause) session.Session {
	t.Helper()
	s, err := db.UpdateSession(t.Context(), key, end(at, cause))
	if err != nil {
		t.Fatalf("cannot end session: %v", err)
	}
	return s
}

// mustCalculation writes a new calculation of the session.
func mustCalculation(t *testing.T, db Store, key session.Key, submitted time.Time) calc.Calculation {
	t.Helper()
	c := calc.Calculation{ID: ident.NewID(), Session: key, Account: account, Code: "1+1", State: calc.Running, Submitted: submitted}
	c, isNew, err := db.CreateCalculation(t.Context(), calc.Creation{Calculation: c}, func(*session.Session) error { return nil })
	if err != nil || !isNew {
		t.Fatalf("CreateCalculation: created %v, error %v", isNew, err)
	}
	return c
}

// mustWorkgroup writes a new workgroup.
func mustWorkgroup(t *testing.T, db Store, name string, tags ...workgroup.Tag) {
	t.Helper()
	w := workgroup.Workgroup{Account: account, Name: name, State: workgroup.Enabled, Created: epoch0}
	if err := db.CreateWorkgroup(t.Context(), w, tags, 0); err != nil {
		t.Fatalf("CreateWorkgroup: %v", err)
	}
}

// wantError fails unless err is the wanted one.
func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || (want == nil) != (err == nil) {
		t.Fatalf("%s: error %v, want %v", what, err, want)
	}
}

// wantEqual fails unless both are deeply equal.
func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// together runs f n times at once and returns when all are done.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() { <-start; f(i) })
	}
	close(start)
	all.Wait()
}

// fill sets everything reachable from v to something other than zero, so that
// a member which a store forgets is noticed. Texts hold what escapes badly.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d 'äß☃' \"\\\n", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.25)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(epoch0.Add(time.Duration(*n) * time.Millisecond)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic("cannot fill a " + v.Kind().String())
	}
}

// filled is a value with every member set.
func filled[T any]() T {
	var v T
	n := 0
	fill(reflect.ValueOf(&v).Elem(), &n)
	return v
}
