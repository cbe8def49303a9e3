package session

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"glaux/internal/fault"
)

// Budgets bound what sessions may have at once. A member that is zero bounds
// nothing.
type Budgets struct {
	// SessionDPUs is what one session may ask for: one that asks for more is
	// refused, and one that does not say gets no more.
	SessionDPUs float64
	// WorkgroupDPUs, CallerDPUs and AccountDPUs are what the sessions of one
	// workgroup, one caller and one account may have together.
	WorkgroupDPUs, CallerDPUs, AccountDPUs float64
	// AccountSessions is how many sessions of an account may run at once. Those
	// that wait do not count.
	AccountSessions int
	// StartsPerSecond is how many sessions begin to start in a second, over all.
	StartsPerSecond float64
	// Starting is how many sessions start at once whose drivers are launched for
	// them. More only take the processors from each other. Others wait, always.
	Starting int

	// Refuse has sessions refused that are beyond a budget, with AWS's text.
	// Otherwise they wait. For memory and for others' starts they always wait.
	Refuse bool
	// MaxWait is how long a session waits at most. Default 10 minutes.
	MaxWait time.Duration
	// MaxQueued is how many sessions wait at most, half of them one caller's;
	// further ones are refused. Default 1000.
	MaxQueued int

	// Workgroups has what differs for some of them, by name.
	Workgroups map[string]WorkgroupBudget
}

// WorkgroupBudget is what differs for one workgroup. A nil member is that of Budgets.
type WorkgroupBudget struct {
	DPUs    *float64
	Refuse  *bool
	MaxWait *time.Duration
}

func (b *Budgets) fill() {
	orTime(&b.MaxWait, 10*time.Minute)
	orInt(&b.MaxQueued, 1000)
}

// queueShare is how many sessions of one caller may wait.
func (b *Budgets) queueShare() int { return max(1, b.MaxQueued/2) }

// workgroupDPUs is what the sessions of a workgroup may have; zero: no bound.
// Glue sessions have no workgroup.
func (b *Budgets) workgroupDPUs(name string) float64 {
	switch own := b.Workgroups[name].DPUs; {
	case name == "":
		return 0
	case own != nil:
		return *own
	}
	return b.WorkgroupDPUs
}

func (b *Budgets) refuses(workgroup string) bool {
	if own := b.Workgroups[workgroup].Refuse; own != nil {
		return *own
	}
	return b.Refuse
}

func (b *Budgets) maxWait(workgroup string) time.Duration {
	if own := b.Workgroups[workgroup].MaxWait; own != nil {
		return *own
	}
	return b.MaxWait
}

// usualDPUs is what an Athena session may have that does not say: the default
// of Athena's console.
const usualDPUs = 20

// need is what one session takes of the budgets.
type need struct {
	key                        Key
	account, workgroup, caller string
	dpus                       float64 // the most it may have
	warm                       bool    // its driver runs already and has its memory
}

// needOf is what a session takes: nothing that it may have is given to others.
func (b *Budgets) needOf(s *Session) need {
	n := need{key: s.Key, account: s.Account, workgroup: s.Workgroup, caller: callerOf(s)}
	switch {
	case s.Glue != nil:
		n.dpus = s.Glue.MaxCapacity
	case s.Config.MaxConcurrentDPUs != nil:
		n.dpus = float64(*s.Config.MaxConcurrentDPUs)
	default:
		n.dpus = usualDPUs
		for _, most := range []float64{b.SessionDPUs, b.CallerDPUs, b.AccountDPUs, b.workgroupDPUs(s.Workgroup)} {
			if most > 0 {
				n.dpus = min(n.dpus, most)
			}
		}
	}
	return n
}

// callerOf is whom a session counts for: a user, or a role whatever the names of
// its sessions are, because those who assume it choose them freely.
func callerOf(s *Session) string {
	if at := strings.LastIndexByte(s.Owner, '/'); at > 0 && strings.Contains(s.Owner, ":assumed-role/") {
		return s.Owner[:at]
	}
	return s.Owner
}

// never refuses what could never be admitted, however long it waited.
func (b *Budgets) never(n need, glue bool) error {
	for _, most := range []struct {
		dpus float64
		of   string
	}{
		{b.SessionDPUs, "a session"},
		{b.workgroupDPUs(n.workgroup), "the sessions of workgroup " + n.workgroup},
		{b.CallerDPUs, "the sessions of one caller"},
		{b.AccountDPUs, "the sessions of the account"},
	} {
		if most.dpus > 0 && n.dpus > most.dpus {
			name := "MaxConcurrentDpus"
			if glue {
				name = "Max Capacity"
			}
			return fault.Invalidf("%s %s is more than the %s DPUs that %s may have.", name, number(n.dpus), number(most.dpus), most.of)
		}
	}
	return nil
}

// tooMany is AWS's text, which clients look for, with what it was about.
const tooMany = "Maximum allowed sessions reached"

// refusal is the fault for a session that may not wait.
func (o *obstacle) refusal() error {
	if o.by == byRate {
		return fault.New(fault.Throttled, "Rate exceeded")
	}
	return fault.New(fault.TooMany, "%s: %s.", tooMany, o.what)
}

// What sessions wait for.
const (
	byRate      = "starts"
	byWorkgroup = "workgroup-dpus"
	byCaller    = "caller-dpus"
	byAccount   = "account-dpus"
	bySessions  = "account-sessions"
	byMemory    = "memory"
	byStarting  = "starting"
)

// obstacle is why a session cannot start yet. What is the reason for people: a
// part of a sentence.
type obstacle struct {
	by     string // one of the constants above
	what   string
	lifted bool // by memory that the pool could give up
}

// waitsAlways says whether sessions wait for it even where beyond budgets they
// are refused: it is no budget, and passes.
func (o *obstacle) waitsAlways() bool { return o.by == byMemory || o.by == byStarting }

func taken(by, of string, have, most, wants float64) *obstacle {
	return &obstacle{by: by, what: fmt.Sprintf("%s %s of %s DPUs, and it may need %s", of, number(have), number(most), number(wants))}
}

// number writes a number of DPUs as people do.
func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
