package session_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/fault"
	"glaux/internal/machine"
	"glaux/internal/session"
	"glaux/internal/workgroup"
)

// budget sets budgets on a manager's configuration.
func budget(b session.Budgets) func(*session.Config) {
	return func(c *session.Config) { c.Budgets = b }
}

// dpus asks for a session of so many DPUs.
func dpus(n int32) func(*session.Request) {
	return func(r *session.Request) { r.Config.MaxConcurrentDPUs = &n }
}

// user is a caller of its own.
func user(name string) access.Caller {
	return access.Caller{Account: home.Account, UserID: "AIDA" + name, ARN: "arn:aws:iam::000000000000:user/" + name}
}

// as starts a session for somebody.
func (s *server) as(t *testing.T, who access.Caller, change ...func(*session.Request)) session.Session {
	t.Helper()
	in := session.Request{Workgroup: "spark"}
	for _, f := range change {
		f(&in)
	}
	made, err := s.Start(t.Context(), who, in)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// end terminates a session and lets that happen.
func (s *server) end(t *testing.T, id string) {
	t.Helper()
	if _, err := s.Terminate(t.Context(), root, id); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// running returns which of the sessions have a driver, by their place in ids.
func (s *server) running(t *testing.T, ids []string) (at []int) {
	t.Helper()
	synctest.Wait()
	for i, id := range ids {
		got, err := s.Get(t.Context(), root, id)
		if err != nil {
			t.Fatal(err)
		}
		if got.AthenaState() == "IDLE" {
			at = append(at, i)
		}
	}
	return at
}

func wantReason(t *testing.T, s session.Session, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(s.Reason, p) {
			t.Errorf("the reason is %q, want %q in it", s.Reason, p)
		}
	}
}

func TestQueueIsFairBetweenCallers(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, budget(session.Budgets{AccountSessions: 1}))
		var ids, order []string
		for i := range 5 {
			ids = append(ids, s.as(t, user("a")).ID)
			order = append(order, fmt.Sprint("a", i))
		}
		for i := range 2 {
			ids = append(ids, s.as(t, user("b")).ID)
			order = append(order, fmt.Sprint("b", i))
		}
		if got := s.running(t, ids); !slices.Equal(got, []int{0}) {
			t.Fatalf("%v run", got)
		}
		waits := s.want(t, ids[6], "CREATING")
		wantReason(t, waits, "The session waits to be started: the account runs 1 of 1 sessions. It is number 3 of 6 in the queue, and waits until ")
		// Callers take turns, and each one's go in their order: b, a, b, a, a, a.
		var went []string
		for _, at := range []int{0, 5, 1, 6, 2, 3, 4} {
			if got := s.running(t, ids); !slices.Equal(got, []int{at}) {
				t.Fatalf("%v run after %v, want %d", got, went, at)
			}
			went = append(went, order[at])
			s.end(t, ids[at])
		}
		if q := s.Queue(); q.Held != 0 || len(q.Waiting) != 0 {
			t.Errorf("left are %+v", q)
		}
	})
}

func TestSessionNamesOfARoleAreOneCaller(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, budget(session.Budgets{CallerDPUs: 40}))
		role := func(name string) access.Caller {
			return access.Caller{Account: home.Account, UserID: "AROA:" + name, ARN: "arn:aws:sts::000000000000:assumed-role/Analyst/" + name}
		}
		ids := []string{s.as(t, role("one"), dpus(30)).ID, s.as(t, role("two"), dpus(30)).ID, s.as(t, user("a"), dpus(30)).ID}
		if got := s.running(t, ids); !slices.Equal(got, []int{0, 2}) {
			t.Errorf("%v run", got)
		}
		wantReason(t, s.want(t, ids[1], "CREATING"), "the sessions of its caller have 30 of 40 DPUs, and it may need 30")
	})
}

func TestBudgetsOfWorkgroups(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		few, yes, short := 4.0, true, time.Minute
		w.workgroup(t, "small", sparkConfig())
		w.workgroup(t, "strict", sparkConfig())
		w.workgroup(t, "hasty", sparkConfig())
		s := w.serve(t, budget(session.Budgets{WorkgroupDPUs: 10, Workgroups: map[string]session.WorkgroupBudget{
			"small": {DPUs: &few}, "strict": {Refuse: &yes}, "hasty": {MaxWait: &short},
		}}))
		in := func(name string, n int32) func(*session.Request) {
			return func(r *session.Request) { r.Workgroup, r.Config.MaxConcurrentDPUs = name, &n }
		}
		small := s.as(t, root, in("small", 4))
		late := s.as(t, root, in("small", 2))
		strict := s.as(t, root, in("strict", 8))
		hasty := s.as(t, root, in("hasty", 10))
		gone := s.as(t, root, in("hasty", 10))
		if got := s.running(t, []string{small.ID, late.ID, strict.ID, hasty.ID, gone.ID}); !slices.Equal(got, []int{0, 2, 3}) {
			t.Fatalf("%v run", got)
		}
		_, err := s.Start(t.Context(), root, session.Request{Workgroup: "strict", Config: engineDPUs(3)})
		wantFault(t, err, fault.TooMany, "Maximum allowed sessions reached: the sessions of workgroup strict have 8 of 10 DPUs, and it may need 3.")
		_, err = s.Start(t.Context(), root, session.Request{Workgroup: "small", Config: engineDPUs(5)})
		wantFault(t, err, fault.Invalid, "MaxConcurrentDpus 5 is more than the 4 DPUs that the sessions of workgroup small may have.")
		// What does not say how many it wants gets what there may be.
		s.end(t, strict.ID)
		s.as(t, root, func(r *session.Request) { r.Workgroup = "strict" })
		if q := s.Queue(); q.DPUs != 4+10+10 || q.Waiting["workgroup-dpus"] != 2 {
			t.Errorf("the budgets are at %+v", q)
		}
		sleep(time.Minute)
		failed := s.want(t, gone.ID, "FAILED")
		wantReason(t, failed, "The session could not be started: it waited for 1 minute, and still the sessions of workgroup hasty have 10 of 10 DPUs, and it may need 10.")
		s.want(t, late.ID, "CREATING")
		sleep(9 * time.Minute)
		s.want(t, late.ID, "FAILED")
		if got := w.machine.Alive(); len(got) != 3 {
			t.Errorf("%d drivers run", len(got))
		}
	})
}

func TestBudgetOfOneSession(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, budget(session.Budgets{SessionDPUs: 8}))
		_, err := s.Start(t.Context(), root, session.Request{Workgroup: "spark", Config: engineDPUs(9)})
		wantFault(t, err, fault.Invalid, "MaxConcurrentDpus 9 is more than the 8 DPUs that a session may have.")
		most, glue := 8.5, glueRequest("g")
		glue.MaxCapacity = &most
		_, err = s.StartGlue(t.Context(), root, glue)
		wantFault(t, err, fault.Invalid, "Max Capacity 8.5 is more than the 8 DPUs that a session may have.")
		s.start(t)
		s.glue(t, "g")
		if q := s.Queue(); q.DPUs != 8+5 {
			t.Errorf("the budgets are at %+v", q)
		}
	})
}

func TestSmallSessionsDoNotStarveALargeOne(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, budget(session.Budgets{AccountDPUs: 10}))
		ids := []string{
			s.as(t, user("a"), dpus(5)).ID, s.as(t, user("b"), dpus(5)).ID, s.as(t, user("c"), dpus(10)).ID, s.as(t, user("d"), dpus(2)).ID,
		}
		s.end(t, ids[0])
		if got := s.running(t, ids); !slices.Equal(got, []int{1}) {
			t.Fatalf("%v run: a small one overtook a large one", got)
		}
		s.end(t, ids[1])
		if got := s.running(t, ids); !slices.Equal(got, []int{2}) {
			t.Fatalf("%v run", got)
		}
		s.end(t, ids[2])
		if got := s.running(t, ids); !slices.Equal(got, []int{3}) {
			t.Fatalf("%v run", got)
		}
	})
}

func TestEndsWhileQueued(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, budget(session.Budgets{AccountSessions: 1}))
		runs := s.start(t)
		asked, behind := s.start(t), s.start(t)
		five, one := int32(5), int32(1)
		idle := s.start(t, func(r *session.Request) { r.IdleMinutes = &five })
		s.glue(t, "stopped")
		s.glue(t, "deleted")
		s.glue(t, "short", func(in *session.GlueRequest) { in.Timeout = &one })
		synctest.Wait()
		g, err := s.GetGlue(t.Context(), root, "deleted")
		if err != nil || g.GlueState() != "PROVISIONING" {
			t.Fatalf("it is %s, %v", g.GlueState(), err)
		}
		wantReason(t, g, "It is number 5 of 6 in the queue")
		s.end(t, asked.ID)
		got := s.want(t, asked.ID, "TERMINATED")
		wantReason(t, got, "The session was terminated on request.")
		if !got.Spawned.IsZero() || got.DPUMillis(time.Now()) != 0 {
			t.Errorf("it is metered for %d ms", got.DPUMillis(time.Now()))
		}
		wantReason(t, s.want(t, behind.ID, "CREATING"), "It is number 1 of 5 in the queue")
		if _, err := s.StopGlue(t.Context(), root, "stopped"); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteGlue(t.Context(), root, "deleted"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if g, err := s.GetGlue(t.Context(), root, "stopped"); err != nil || g.GlueState() != "STOPPED" {
			t.Errorf("it is %s, %v", g.GlueState(), err)
		}
		if _, err := w.store.Session(t.Context(), g.Key); err == nil {
			t.Error("a deleted session is kept")
		}
		sleep(time.Minute)
		if g, _ := s.GetGlue(t.Context(), root, "short"); g.GlueState() != "TIMEOUT" || g.Cause != session.Lifetime {
			t.Errorf("it is %s: %s", g.GlueState(), g.Reason)
		}
		sleep(4 * time.Minute)
		got = s.want(t, idle.ID, "TERMINATED")
		if got.Cause != session.Expired {
			t.Errorf("it ended by %s", got.Cause)
		}
		wantReason(t, got, "The session waited to be started for 5 minutes, which is its idle timeout.")
		s.end(t, runs.ID)
		s.want(t, behind.ID, "IDLE")
	})
}

func TestRestartKeepsTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		limits := budget(session.Budgets{AccountSessions: 2})
		s := w.serve(t, limits)
		var ids []string
		for _, who := range []string{"a", "a", "a", "a", "b", "a", "c"} {
			ids = append(ids, s.as(t, user(who)).ID)
			sleep(time.Second)
		}
		s.stop()
		sleep(time.Minute)
		s = w.serve(t, limits)
		// A request that comes before anything is taken over sees what there is.
		ids = append(ids, s.as(t, user("b")).ID)
		for _, step := range []struct {
			end  int
			runs []int
		}{{0, []int{1, 4}}, {1, []int{4, 6}}, {4, []int{2, 6}}, {6, []int{2, 7}}, {7, []int{2, 3}}, {2, []int{3, 5}}} {
			s.end(t, ids[step.end])
			if got := s.running(t, ids); !slices.Equal(got, step.runs) {
				t.Fatalf("%v run once %d has ended, want %v", got, step.end, step.runs)
			}
		}
	})
}

func TestRestartKeepsTheBoundOnWaiting(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		limits := budget(session.Budgets{AccountSessions: 1})
		s := w.serve(t, limits)
		s.start(t)
		waits := s.start(t)
		sleep(6 * time.Minute)
		s.stop()
		s = w.serve(t, limits)
		sleep(4*time.Minute - time.Second)
		s.want(t, waits.ID, "CREATING")
		sleep(time.Second)
		s.want(t, waits.ID, "FAILED")
	})
}

func TestTokenOfAQueuedSession(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, budget(session.Budgets{AccountSessions: 1, Refuse: true}))
		token := func(name string) func(*session.Request) { return func(r *session.Request) { r.Token = name } }
		first := s.start(t, token("one"))
		_, err := s.Start(t.Context(), root, session.Request{Workgroup: "spark", Token: "two"})
		wantFault(t, err, fault.TooMany, "Maximum allowed sessions reached: the account runs 1 of 1 sessions.")
		if again := s.start(t, token("one")); again.ID != first.ID {
			t.Errorf("the token made %s, then %s", first.ID, again.ID)
		}
		s.end(t, first.ID)
		if q := s.Queue(); q.Held != 0 {
			t.Errorf("a repeated request keeps a place: %+v", q)
		}
		s.start(t, token("two"))
	})
}

func TestStartsPerSecond(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, budget(session.Budgets{StartsPerSecond: 2}))
		var ids []string
		for range 7 {
			ids = append(ids, s.start(t).ID)
		}
		began := time.Now()
		for len(s.running(t, ids)) < 7 {
			sleep(50 * time.Millisecond)
			if most := 2 + int(2*time.Since(began).Seconds()); len(s.running(t, ids)) > most {
				t.Fatalf("%d run after %s", len(s.running(t, ids)), time.Since(began))
			}
		}
		if took := time.Since(began); took > 2700*time.Millisecond {
			t.Errorf("seven took %s", took)
		}
	})
	t.Run("refused", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			s := w.serve(t, budget(session.Budgets{StartsPerSecond: .5, Refuse: true}))
			s.start(t)
			_, err := s.Start(t.Context(), root, session.Request{Workgroup: "spark"})
			wantFault(t, err, fault.Throttled, "Rate exceeded")
			sleep(2 * time.Second)
			s.start(t)
		})
	})
}

func TestFewSessionsStartAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.machine.OnLaunch = func(engine.Spec) enginetest.Start { return enginetest.Start{Preparing: 4 * time.Second} }
		s := w.serve(t, budget(session.Budgets{Starting: 2, Refuse: true})) // what waits for others' starts is not refused
		var ids []string
		for range 5 {
			ids = append(ids, s.start(t).ID)
			sleep(700 * time.Millisecond)
		}
		wantReason(t, s.want(t, ids[4], "CREATING"),
			"The session waits to be started: 2 other sessions are being started, which is as many as the machine starts at once. It is number 3 of 3 in the queue")
		for len(s.running(t, ids)) < 5 {
			at := s.running(t, ids)
			for i := range at {
				if at[i] != i {
					t.Fatalf("%v run", at)
				}
			}
			sleep(time.Second)
		}
	})
}

func TestFullQueueRefuses(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, budget(session.Budgets{AccountSessions: 1, MaxQueued: 4}))
		start := func(caller string) error {
			_, err := s.Start(t.Context(), user(caller), session.Request{Workgroup: "spark"})
			return err
		}
		for _, caller := range []string{"a", "a", "a", "b", "c"} { // the first one runs
			if err := start(caller); err != nil {
				t.Fatalf("session of %s: %v", caller, err)
			}
			if caller == "b" {
				wantFault(t, start("a"), fault.TooMany, "Maximum allowed sessions reached: 2 sessions of the caller wait already, and the account runs 1 of 1 sessions.")
			}
		}
		wantFault(t, start("d"), fault.TooMany, "Maximum allowed sessions reached: 4 sessions wait already, and the account runs 1 of 1 sessions.")
	})
}

// memory is a machine whose free memory a test sets and drivers take.
type memory struct {
	mu    sync.Mutex
	free  int
	asked int // calls of reclaim
	spare int // warm drivers that can be given up, 300 MiB each
}

func (m *memory) read() machine.Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return machine.Memory{Total: 4096, Available: m.free}
}

func (m *memory) add(mib int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free += mib
}

func (m *memory) reclaim() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.spare == 0 {
		return false
	}
	m.spare--
	m.free += 300
	return true
}

func TestStartsWaitForMemory(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.machine.OnLaunch = func(engine.Spec) enginetest.Start { return enginetest.Start{Preparing: 5 * time.Second} }
		m := &memory{free: 1000}
		s := w.serve(t, func(c *session.Config) {
			c.Memory, c.ReserveMiB, c.HeadroomMiB, c.Reclaim = m.read, 300, 512, m.reclaim
			c.Budgets.Refuse = true // not for want of memory
		})
		ids := []string{s.start(t).ID, s.start(t).ID}
		sleep(time.Second) // both are counted, though the first has taken nothing yet
		if q := s.Queue(); q.Held != 1 || q.Waiting["memory"] != 1 {
			t.Fatalf("the queue is %+v", q)
		}
		wantReason(t, s.want(t, ids[1], "CREATING"),
			"1000 of 4096 MiB of memory are available, 1 starting sessions and this one are counted for 300 MiB each, and 512 MiB stay free")
		m.add(-200) // what the first really takes
		sleep(5 * time.Second)
		if got := s.running(t, ids); !slices.Equal(got, []int{0}) {
			t.Fatalf("%v run", got)
		}
		m.add(50) // its heap shrinks, of which nobody tells
		sleep(10 * time.Second)
		if got := s.running(t, ids); !slices.Equal(got, []int{0, 1}) {
			t.Fatalf("%v run", got)
		}
		m.add(-200)
		asked := m.asked
		if asked == 0 {
			t.Error("nobody was asked for memory")
		}
		m.spare = 1 // a driver in the pool goes first
		ids = append(ids, s.start(t).ID)
		sleep(10 * time.Second)
		if got := s.running(t, ids); !slices.Equal(got, []int{0, 1, 2}) || m.spare != 0 {
			t.Fatalf("%v run, %+v", got, m)
		}
		ids = append(ids, s.start(t).ID)
		s.end(t, ids[0])
		s.end(t, ids[1])
		m.add(400)
		s.Recheck()
		sleep(5 * time.Second)
		if got := s.running(t, ids[2:]); !slices.Equal(got, []int{0, 1}) {
			t.Fatalf("%v run", got)
		}
	})
}

func TestOneSessionAlwaysStarts(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := &memory{free: 10}
		s := w.serve(t, func(c *session.Config) { c.Memory, c.HeadroomMiB = m.read, 512 })
		ids := []string{s.start(t).ID, s.start(t).ID}
		if got := s.running(t, ids); !slices.Equal(got, []int{0}) {
			t.Fatalf("%v run", got)
		}
		s.end(t, ids[0])
		if got := s.running(t, ids); !slices.Equal(got, []int{1}) {
			t.Fatalf("%v run", got)
		}
	})
}

func TestIdleSessionsAreCountedForTheirReserve(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := &memory{free: 4000} // nobody uses what was promised to him
		s := w.serve(t, func(c *session.Config) { c.Memory, c.ReserveMiB, c.HeadroomMiB = m.read, 320, 512 })
		var ids []string
		for range 15 {
			ids = append(ids, s.start(t).ID)
			synctest.Wait()
		}
		if got := s.running(t, ids); len(got) != (4096-512)/320 {
			t.Errorf("%d run", len(got))
		}
	})
}

func TestServerThatStopsEndsTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, budget(session.Budgets{AccountSessions: 1}))
		s.start(t)
		waits := s.start(t)
		synctest.Wait()
		if err := s.EndAll(t.Context(), func(string) {}); err != nil {
			t.Fatal(err)
		}
		wantReason(t, s.want(t, waits.ID, "TERMINATED"), "The session was ended because the server was stopped.")
	})
}

func sparkConfig() workgroup.Config { return workgroup.Config{SelectedEngine: workgroup.EnginePySpark} }

func engineDPUs(n int32) workgroup.EngineConfig { return workgroup.EngineConfig{MaxConcurrentDPUs: &n} }

func TestASlowStartKeepsOthersForAMinuteOnly(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		slow := 2
		w.machine.OnLaunch = func(engine.Spec) enginetest.Start {
			slow--
			return enginetest.Start{Hang: slow >= 0, Preparing: time.Second}
		}
		s := w.serve(t, budget(session.Budgets{Starting: 2}))
		var ids []string
		for range 4 {
			ids = append(ids, s.start(t).ID)
			sleep(time.Second)
		}
		wantReason(t, s.want(t, ids[2], "CREATING"), "2 other sessions are being started")
		sleep(55 * time.Second)
		s.want(t, ids[2], "CREATING")
		sleep(6 * time.Second)
		if got := s.running(t, ids); !slices.Equal(got, []int{2, 3}) {
			t.Errorf("%v run", got)
		}
	})
}
