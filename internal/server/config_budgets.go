package server

import (
	"cmp"
	"fmt"
	"time"

	"glaux/internal/session"
)

// What a session that exceeds a budget meets.
const (
	policyQueue  = "queue"
	policyRefuse = "refuse"
)

// Budget bounds what sessions may have at once. DPUs are nominal: a session
// counts for the most it may have, which is MaxConcurrentDpus or MaxCapacity.
type Budget struct {
	// SessionDPUs, WorkgroupDPUs, CallerDPUs and AccountDPUs are what one
	// session may ask for, and what the sessions of one workgroup, one caller and the account
	// may have together, up to 1,000,000. Zero: any number.
	SessionDPUs   float64 `name:"session-dpus" help:"DPUs that one session may ask for; 0: any." default:"0" yaml:"session-dpus"`
	WorkgroupDPUs float64 `name:"workgroup-dpus" help:"DPUs that the sessions of one workgroup may have together; 0: any." default:"0" yaml:"workgroup-dpus"`
	CallerDPUs    float64 `name:"caller-dpus" help:"DPUs that the sessions of one caller may have together; 0: any." default:"0" yaml:"caller-dpus"`
	AccountDPUs   float64 `name:"account-dpus" help:"DPUs that all sessions may have together; 0: any." default:"0" yaml:"account-dpus"`
	// AccountSessions is how many sessions run at once, up to 100,000; those
	// that wait do not count. Zero: any number.
	AccountSessions int `help:"Sessions that run at once, without those that wait; 0: any." default:"0" yaml:"account-sessions"`
	// StartsPerSecond is how many sessions begin to start in a second, up to
	// 1000, also less than one. Zero: any number.
	StartsPerSecond float64 `help:"Sessions that begin to start in a second; 0: any." default:"0" yaml:"starts-per-second"`
	// Starting is how many sessions start at once whose drivers are launched for
	// them, up to 10,000; others wait whatever the policy is. Zero: twice as many
	// as the server was given processors.
	Starting int `help:"Sessions that start at once without a driver that waits for them; 0: twice as many as there are processors." default:"0" yaml:"starting"`
	// Policy is what a session meets that is beyond a budget: queue, or refuse
	// with AWS's text. Empty: queue.
	Policy string `help:"What a session beyond a budget meets: queue or refuse." default:"queue" yaml:"policy"`
	// MaxWait is how long a session waits at most: 1 s to 24 h. Zero: 10 minutes.
	MaxWait time.Duration `help:"How long a session waits in the queue at most." default:"10m" yaml:"max-wait"`
	// MaxQueued is how many sessions wait at most, half of them one caller's, up
	// to 100,000. Zero: 1000.
	MaxQueued int `help:"Sessions that wait in the queue at most, half of them one caller's." default:"1000" yaml:"max-queued"`

	// Workgroups has what differs for some workgroups.
	Workgroups []WorkgroupBudget `kong:"-" yaml:"workgroups"`
}

// WorkgroupBudget is what differs for one workgroup; what is not given is as
// for all. It stands in the configuration file only.
type WorkgroupBudget struct {
	Name    string         `yaml:"name"`
	DPUs    *float64       `yaml:"dpus"`     // of its sessions together; 0: any
	Policy  string         `yaml:"policy"`   // queue or refuse
	MaxWait *time.Duration `yaml:"max-wait"` // 1 s to 24 h
}

// Memory is the rule by which starts wait for memory.
type Memory struct {
	// Reserve is what a session that is idle is counted for, MiB: 128 to
	// 65,536. It may grow into its heap. Zero: 320.
	Reserve int `help:"Memory that an idle session is counted for, MiB." default:"320" yaml:"reserve"`
	// Headroom is what a start leaves for sessions that work, MiB, up to the
	// machine's. Zero: an eighth of the machine's memory, at most dpu-memory.
	Headroom int `help:"Memory that a start leaves for sessions that work, MiB; 0: an eighth of the machine's, at most --dpu-memory." default:"0" yaml:"headroom"`
}

// fill puts the defaults where nothing is said.
func (b *Budget) fill() {
	b.Policy = cmp.Or(b.Policy, policyQueue)
	b.MaxWait = cmp.Or(b.MaxWait, 10*time.Minute)
	b.MaxQueued = cmp.Or(b.MaxQueued, 1000)
}

// check reports the faults of the settings.
func (b *Budget) check(bad func(string, ...any), within func(string, int64, int64, int64), lasts func(string, time.Duration, time.Duration, time.Duration)) {
	amount := func(name string, value, most float64) {
		if !(value >= 0 && value <= most) {
			bad("cannot use %s %v: it must be between 0 and %v", name, value, most)
		}
	}
	const most = 1e6
	amount("budget-session-dpus", b.SessionDPUs, most)
	amount("budget-workgroup-dpus", b.WorkgroupDPUs, most)
	amount("budget-caller-dpus", b.CallerDPUs, most)
	amount("budget-account-dpus", b.AccountDPUs, most)
	amount("budget-starts-per-second", b.StartsPerSecond, 1000)
	within("budget-account-sessions", int64(b.AccountSessions), 0, 100000)
	within("budget-starting", int64(b.Starting), 0, 10000)
	within("budget-max-queued", int64(b.MaxQueued), 1, 100000)
	policy := func(name, value string) {
		if value != policyQueue && value != policyRefuse {
			bad("cannot use %s %q: it is %s or %s", name, value, policyQueue, policyRefuse)
		}
	}
	policy("budget-policy", b.Policy)
	lasts("budget-max-wait", b.MaxWait, time.Second, 24*time.Hour)
	seen := map[string]bool{}
	for i, w := range b.Workgroups {
		name := fmt.Sprintf("budget-workgroups[%d]", i)
		if w.Name == "" || seen[w.Name] {
			bad("cannot use %s: its name %q is empty or another one's", name, w.Name)
		}
		seen[w.Name] = true
		if w.DPUs != nil {
			amount(name+".dpus", *w.DPUs, most)
		}
		if w.Policy != "" {
			policy(name+".policy", w.Policy)
		}
		if w.MaxWait != nil {
			lasts(name+".max-wait", *w.MaxWait, time.Second, 24*time.Hour)
		}
	}
}

// limits are the budgets as sessions know them.
func (b *Budget) limits() session.Budgets {
	all := session.Budgets{
		SessionDPUs: b.SessionDPUs, WorkgroupDPUs: b.WorkgroupDPUs, CallerDPUs: b.CallerDPUs, AccountDPUs: b.AccountDPUs,
		AccountSessions: b.AccountSessions, StartsPerSecond: b.StartsPerSecond, Starting: cmp.Or(b.Starting, 2*given),
		Refuse: b.Policy == policyRefuse, MaxWait: b.MaxWait, MaxQueued: b.MaxQueued,
		Workgroups: map[string]session.WorkgroupBudget{},
	}
	for _, w := range b.Workgroups {
		own := session.WorkgroupBudget{DPUs: w.DPUs, MaxWait: w.MaxWait}
		if w.Policy != "" {
			refuses := w.Policy == policyRefuse
			own.Refuse = &refuses
		}
		all.Workgroups[w.Name] = own
	}
	return all
}

// check reports the faults of the settings.
func (m *Memory) check(within func(string, int64, int64, int64)) {
	within("memory-reserve", int64(m.Reserve), 128, 65536)
	within("memory-headroom", int64(m.Headroom), 0, 1<<24)
}

// Headroom is what a start leaves of a machine with so much memory, MiB.
func (c *Config) Headroom(memoryMiB int) int {
	if c.Memory.Headroom > 0 {
		return c.Memory.Headroom
	}
	return min(memoryMiB/8, c.DPU.Memory)
}
