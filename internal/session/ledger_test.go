package session

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"glaux/internal/machine"
)

// TestLedgerKeepsItsPromises plays random histories: no budget is ever exceeded,
// nobody overtakes a session of his own that waits for the same, nobody is
// forgotten, and at the end nothing is left.
func TestLedgerKeepsItsPromises(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { playLedger(t, rand.New(rand.NewPCG(seed, 6))) })
	}
}

func playLedger(t *testing.T, r *rand.Rand) {
	maybe := func(n float64) float64 {
		if r.IntN(2) == 0 {
			return 0
		}
		return n
	}
	b := Budgets{
		WorkgroupDPUs: maybe(12), CallerDPUs: maybe(15), AccountDPUs: maybe(20), AccountSessions: int(maybe(4)), StartsPerSecond: maybe(2),
	}
	b.fill()
	l := newLedger(b, memoryRule{reserve: 300, headroom: 500})
	mem := &machine.Memory{Total: 3000, Available: 2000}
	now := time.Unix(0, 0)
	waiting := map[Key]<-chan struct{}{}
	var asked []need // in the order in which they came
	has := map[Key]bool{}
	settle := func() {
		for k, c := range waiting {
			if isClosed(c) {
				delete(waiting, k)
				has[k] = true
			}
		}
		checkBudgets(t, l, mem)
		for i, later := range asked {
			for _, earlier := range asked[:i] {
				same := earlier.caller == later.caller && earlier.workgroup == later.workgroup
				if same && waiting[earlier.key] != nil && has[later.key] {
					t.Fatalf("%s has its place and %s waits", later.key, earlier.key)
				}
			}
		}
	}
	for i := range 60 {
		n := need{
			key: Key(fmt.Sprint(i)), account: "1", workgroup: fmt.Sprint("w", r.IntN(2)), caller: fmt.Sprint("c", r.IntN(3)), dpus: float64(1 + r.IntN(10)),
		}
		asked = append(asked, n)
		if v := l.ask(n, mem, now); v.waits != nil {
			waiting[n.key] = v.waits.admitted
		} else if v.refused == nil {
			has[n.key] = true
		}
		settle()
		asked = slices.DeleteFunc(asked, func(n need) bool { return has[n.key] }) // what has its place is no matter any more
		switch r.IntN(4) {
		case 0:
			if k, ok := some(r, has); ok {
				l.leave(k)
				delete(has, k)
			}
		case 1:
			if k, ok := some(r, waiting); ok && l.withdraw(k) {
				delete(waiting, k)
				asked = slices.DeleteFunc(asked, func(n need) bool { return n.key == k })
			}
		case 2:
			if k, ok := some(r, has); ok {
				l.grown(k)
			}
		}
		now = now.Add(time.Duration(r.IntN(1000)) * time.Millisecond)
		mem.Available = 500 + r.IntN(2000)
		l.look(mem, now)
		settle()
	}
	mem.Available = 2500
	for range 1000 {
		if k, ok := some(r, has); ok {
			l.leave(k)
			delete(has, k)
		}
		now = now.Add(time.Second)
		l.look(mem, now)
		settle()
	}
	if s := l.stats(); len(waiting) > 0 || s.Held > 0 || len(l.waiting) > 0 || len(l.served) > 0 {
		t.Errorf("left are %v, %+v, %v", slices.Collect(maps.Keys(waiting)), s, l.served)
	}
}

// checkBudgets fails when more is given away than there is.
func checkBudgets(t *testing.T, l *ledger, mem *machine.Memory) {
	t.Helper()
	used := l.usedLocked()
	for _, p := range l.held {
		for of, most := range map[string]float64{
			p.inAccount(): l.budgets.AccountDPUs, p.inWorkgroup(): l.budgets.WorkgroupDPUs, p.ofCaller(): l.budgets.CallerDPUs,
		} {
			if most > 0 && used.dpus[of] > most {
				t.Fatalf("%s has %v of %v DPUs", of, used.dpus[of], most)
			}
		}
		if most := l.budgets.AccountSessions; most > 0 && used.sessions[p.account] > most {
			t.Fatalf("%d sessions run of %d", used.sessions[p.account], most)
		}
	}
	if n := len(l.held); n > 1 && n*l.memory.reserve > mem.Total-l.memory.headroom {
		t.Fatalf("%d sessions are idle in %d MiB", n, mem.Total)
	}
}

func some[V any](r *rand.Rand, of map[Key]V) (Key, bool) {
	if len(of) == 0 {
		return "", false
	}
	keys := slices.Sorted(maps.Keys(of))
	return keys[r.IntN(len(keys))], true
}

func BenchmarkAsk(b *testing.B) {
	budgets := Budgets{AccountSessions: 100}
	budgets.fill()
	l := newLedger(budgets, memoryRule{reserve: 300, headroom: 500})
	mem := &machine.Memory{Total: 1 << 20, Available: 1 << 20}
	now := time.Unix(0, 0)
	for i := range 100 + 1000 {
		l.ask(need{key: Key(fmt.Sprint(i)), account: "1", caller: fmt.Sprint("c", i%10), dpus: 1}, mem, now)
	}
	for b.Loop() {
		l.ask(need{key: "x", account: "1", caller: "c", dpus: 1}, mem, now)
		l.leave("x")
	}
}
