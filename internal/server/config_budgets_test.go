package server

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"glaux/internal/session"
)

func TestBudgetsOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	text := `budget:
  account-dpus: 160
  starts-per-second: 0.5
  workgroups:
    - {name: analysts, dpus: 40, policy: refuse}
    - {name: night, max-wait: 2h}
memory: {reserve: 400}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{"budget-account-dpus": "160", "budget-starts-per-second": "0.5", "memory-reserve": "400"} {
		if got, _ := f.Value(flag); got != want {
			t.Errorf("%s is %q, want %q", flag, got, want)
		}
	}
	b := Budget{Workgroups: f.Workgroups}
	b.fill()
	dpus, yes, night := 40.0, true, 2*time.Hour
	want := session.Budgets{Starting: 2 * given, MaxWait: 10 * time.Minute, MaxQueued: 1000, Workgroups: map[string]session.WorkgroupBudget{
		"analysts": {DPUs: &dpus, Refuse: &yes}, "night": {MaxWait: &night},
	}}
	if got := b.limits(); !reflect.DeepEqual(got, want) {
		t.Errorf("the budgets are %+v, want %+v", got, want)
	}
}

func TestBudgetsTellEveryFault(t *testing.T) {
	c := testConfig(t, t.TempDir())
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	below, short := -1.0, time.Millisecond
	c.Budget = Budget{
		SessionDPUs: -1, WorkgroupDPUs: math.NaN(), CallerDPUs: 2e6, AccountDPUs: -1, AccountSessions: -1, StartsPerSecond: 1001,
		Policy: "wait", MaxWait: time.Millisecond, MaxQueued: -1,
		Workgroups: []WorkgroupBudget{{Name: "a", DPUs: &below, Policy: "no", MaxWait: &short}, {Name: "a"}},
	}
	c.Memory = Memory{Reserve: 1, Headroom: -1}
	err := c.Check()
	if err == nil {
		t.Fatal("bad budgets pass")
	}
	for _, name := range []string{"session-dpus", "workgroup-dpus", "caller-dpus", "account-dpus", "account-sessions", "starts-per-second", "policy \"wait\"",
		"budget-max-wait", "max-queued", "[0].dpus", "[0].policy", "[0].max-wait", "budget-workgroups[1]", "memory-reserve", "memory-headroom"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not told in %v", name, err)
		}
	}
}

func TestHeadroom(t *testing.T) {
	c := Config{DPU: DPU{Memory: 2048}}
	for memory, want := range map[int]int{4096: 512, 16384: 2048, 65536: 2048} {
		if got := c.Headroom(memory); got != want {
			t.Errorf("of %d MiB %d stay free, want %d", memory, got, want)
		}
	}
	c.Memory.Headroom = 100
	if got := c.Headroom(4096); got != 100 {
		t.Errorf("%d stay free of what is configured", got)
	}
}
