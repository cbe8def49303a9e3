package session

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"glaux/internal/fault"
	"glaux/internal/machine"
)

// lookEvery is how often it is looked whether memory has come back while a
// session waits for some: heaps shrink without telling anybody.
const lookEvery = time.Second

// slowStart is how long a session that starts keeps others from starting: then it
// waits for something else than a processor, such as a download.
const slowStart = time.Minute

// stalled is the pressure, in percent, above which no session starts.
const stalled = 10

// memoryRule is how many MiB a start leaves.
type memoryRule struct {
	reserve  int // what an idle session is counted for
	headroom int // what stays free for sessions that work
}

// ledger knows which sessions have their place in the budgets and which wait
// for one. It decides and calls nobody.
//
// Those that wait are taken in a fair order: callers take turns, the one that
// was served longest ago first, and each caller's sessions go in the order in which
// they came. Who cannot have a place yet keeps everybody behind it from what it
// waits for, so that small sessions do not starve a large one, and from nothing else.
type ledger struct {
	budgets Budgets
	memory  memoryRule

	mu      sync.Mutex // guards what follows
	loaded  bool
	held    map[Key]*place
	waiting []*waiter // in the order in which they came
	served  map[string]uint64
	turn    uint64    // counts those that were served
	starts  float64   // how many may begin now, of StartsPerSecond
	counted time.Time // when starts was last counted; zero: never
}

// place is a session that was admitted and is not over.
type place struct {
	need
	starting bool      // it does not have the memory yet that it is counted for
	begun    time.Time // when it was admitted, or this server began to look
}

// waiter is a session that waits.
type waiter struct {
	need
	admitted chan struct{} // closed once it has its place
	rank     int           // its number in the queue, from 1
	why      *obstacle     // as last decided
}

func newLedger(b Budgets, m memoryRule) *ledger {
	return &ledger{budgets: b, memory: m, held: map[Key]*place{}, served: map[string]uint64{}}
}

// verdict is what became of a request for a place: it has one (neither member
// is set), waits for one, or is refused.
type verdict struct {
	waits   *waiter
	refused error
	by      string // what refused it
}

// ask gives a place in the budgets, or in the queue.
func (l *ledger) ask(n need, mem *machine.Memory, now time.Time) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &waiter{need: n, admitted: make(chan struct{})}
	l.waiting = append(l.waiting, w)
	l.decideLocked(mem, now)
	var no verdict
	switch {
	case isClosed(w.admitted):
		return verdict{}
	case !w.why.waitsAlways() && l.budgets.refuses(n.workgroup):
		no = verdict{refused: w.why.refusal(), by: w.why.by}
	case len(l.waiting) > l.budgets.MaxQueued:
		no = verdict{refused: fault.New(fault.TooMany, "%s: %d sessions wait already, and %s.", tooMany, l.budgets.MaxQueued, w.why.what), by: "queue"}
	case l.queuedLocked(n.caller) > l.budgets.queueShare():
		no = verdict{refused: fault.New(fault.TooMany, "%s: %d sessions of the caller wait already, and %s.", tooMany, l.budgets.queueShare(), w.why.what), by: "queue"}
	default:
		return verdict{waits: w}
	}
	l.dropLocked(n.key)
	l.decideLocked(mem, now) // it may have stood before others
	return no
}

// queuedLocked is how many sessions of a caller wait.
func (l *ledger) queuedLocked(caller string) (n int) {
	for _, w := range l.waiting {
		if w.caller == caller {
			n++
		}
	}
	return n
}

// load takes in the sessions that there were when the server started, once.
func (l *ledger) load(all []Session, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.loaded {
		return
	}
	l.loaded = true
	slices.SortFunc(all, func(a, b Session) int {
		return cmp.Or(a.Admitted.Compare(b.Admitted), a.Created.Compare(b.Created), cmp.Compare(a.Key, b.Key))
	})
	for i := range all {
		n := l.budgets.needOf(&all[i])
		if all[i].State == Queued {
			l.waiting = append(l.waiting, &waiter{need: n, admitted: make(chan struct{})})
			continue
		}
		l.serveLocked(n, all[i].State == Launching || all[i].State == Started, now)
	}
	l.rankLocked()
}

// isLoaded says whether load was called.
func (l *ledger) isLoaded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.loaded
}

// look decides anew, and returns after how long it has to be looked again though
// nothing happened (zero: not at all), and whether somebody waits for memory.
func (l *ledger) look(mem *machine.Memory, now time.Time) (again time.Duration, memory bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.decideLocked(mem, now)
}

// launched notes that a session which had a driver ready has to make one, or a
// part of it, all the same.
func (l *ledger) launched(key Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.held[key]; p != nil {
		p.starting = true
	}
}

// grown notes that a session has the memory that it is counted for.
func (l *ledger) grown(key Key) (changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.held[key]
	if p == nil || !p.starting {
		return false
	}
	p.starting = false
	return true
}

// leave gives back what a session had or waited for. It is no error when that
// was nothing.
func (l *ledger) leave(key Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropLocked(key)
	if p := l.held[key]; p != nil {
		delete(l.held, key)
		l.forgetLocked(p.need)
	}
}

// undo gives back what ask gave, for a session that was not made.
func (l *ledger) undo(key Key) {
	l.mu.Lock()
	if l.held[key] != nil {
		l.starts++
	}
	l.mu.Unlock()
	l.leave(key)
}

// join returns what is closed once the session has its place, and puts it at the
// end of the queue unless it waits or has one already.
func (l *ledger) join(n need) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.findLocked(n.key)
	switch {
	case at >= 0:
		return l.waiting[at].admitted
	case l.held[n.key] != nil:
		has := make(chan struct{})
		close(has)
		return has
	}
	w := &waiter{need: n, admitted: make(chan struct{})}
	l.waiting = append(l.waiting, w)
	return w.admitted
}

// anyone says whether a session waits.
func (l *ledger) anyone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting) > 0
}

// withdraw takes a session out of the queue; false: it has its place already.
func (l *ledger) withdraw(key Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropLocked(key)
}

// waits is what those who ask are told of a session that waits.
type waits struct {
	rank, of int
	what     string
}

func (l *ledger) waits(key Key) (w waits, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.findLocked(key)
	if at < 0 || l.waiting[at].why == nil {
		return w, false
	}
	return waits{l.waiting[at].rank, len(l.waiting), l.waiting[at].why.what}, true
}

// QueueStats is what metrics show of budgets and of the queue.
type QueueStats struct {
	Waiting map[string]int // sessions that wait, by what for
	Machine int            // of those: for memory or processors of the machine
	Held    int            // sessions that have a place
	DPUs    float64        // that those may have
}

func (l *ledger) stats() QueueStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := QueueStats{Waiting: map[string]int{}, Held: len(l.held)}
	for _, p := range l.held {
		s.DPUs += p.dpus
	}
	for _, w := range l.waiting {
		if w.why != nil {
			s.Waiting[w.why.by]++
			if w.why.by == byMemory || w.why.by == byStarting {
				s.Machine++
			}
		}
	}
	return s
}

// decideLocked gives places to all that can have one.
func (l *ledger) decideLocked(mem *machine.Memory, now time.Time) (again time.Duration, memory bool) {
	if len(l.waiting) == 0 {
		return 0, false
	}
	l.countLocked(now)
	barred := map[string]bool{}
	used := l.usedLocked()
	for _, w := range l.rankLocked() {
		if w.why = l.obstacleLocked(w, used, barred, mem, now); w.why != nil {
			continue
		}
		l.dropLocked(w.key)
		l.serveLocked(w.need, !w.warm, now)
		used.add(w.need)
		l.starts--
		close(w.admitted)
	}
	for i, w := range l.rankLocked() {
		w.rank = i + 1
		memory = memory || w.why.lifted
		var after time.Duration
		switch w.why.by {
		case byRate:
			after = l.nextStartLocked()
		case byStarting:
			_, after = l.busyLocked(now)
		case byMemory:
			after = lookEvery
		}
		if after > 0 && (again == 0 || after < again) {
			again = after
		}
	}
	return again, memory
}

// rankLocked returns those that wait in the fair order and numbers them.
func (l *ledger) rankLocked() []*waiter {
	lanes := map[string][]*waiter{}
	var callers []string
	for _, w := range l.waiting {
		if lanes[w.caller] == nil {
			callers = append(callers, w.caller)
		}
		lanes[w.caller] = append(lanes[w.caller], w)
	}
	slices.SortStableFunc(callers, func(a, b string) int { return cmp.Compare(l.served[a], l.served[b]) })
	order := make([]*waiter, 0, len(l.waiting))
	for round := 0; len(order) < len(l.waiting); round++ {
		for _, c := range callers {
			if round < len(lanes[c]) {
				w := lanes[c][round]
				order = append(order, w)
				w.rank = len(order)
			}
		}
	}
	return order
}

// totals are what the sessions that have a place take of each budget.
type totals struct {
	dpus     map[string]float64 // by a name of what has the budget
	sessions map[string]int     // by account
}

func (t totals) add(n need) {
	for _, of := range []string{n.inAccount(), n.inWorkgroup(), n.ofCaller()} {
		t.dpus[of] += n.dpus
	}
	t.sessions[n.account]++
}

// Names of what has a budget of DPUs.
func (n need) inAccount() string   { return "account " + n.account }
func (n need) inWorkgroup() string { return "workgroup " + n.account + "/" + n.workgroup }
func (n need) ofCaller() string    { return "caller " + n.account + "/" + n.caller }

func (l *ledger) usedLocked() totals {
	t := totals{map[string]float64{}, map[string]int{}}
	for _, p := range l.held {
		t.add(p.need)
	}
	return t
}

// obstacleLocked is why w cannot have a place now; nil: it can. What it waits for is
// barred for those behind it.
func (l *ledger) obstacleLocked(w *waiter, used totals, barred map[string]bool, mem *machine.Memory, now time.Time) *obstacle {
	b := &l.budgets
	if most := b.AccountSessions; most > 0 {
		have, of := used.sessions[w.account], bySessions+w.account
		if have >= most || barred[of] {
			barred[of] = true
			return &obstacle{by: bySessions, what: fmt.Sprintf("the account runs %d of %d sessions", have, most)}
		}
	}
	for _, budget := range []struct {
		by, of, say string
		most        float64
	}{
		{byAccount, w.inAccount(), "the sessions of the account have", b.AccountDPUs},
		{byWorkgroup, w.inWorkgroup(), "the sessions of workgroup " + w.workgroup + " have", b.workgroupDPUs(w.workgroup)},
		{byCaller, w.ofCaller(), "the sessions of its caller have", b.CallerDPUs},
	} {
		if have := used.dpus[budget.of]; budget.most > 0 && (have+w.dpus > budget.most || barred[budget.of]) {
			barred[budget.of] = true
			return taken(budget.by, budget.say, have, budget.most, w.dpus)
		}
	}
	if mem != nil {
		var why *obstacle
		if why = l.memoryLocked(*mem, w.warm); why == nil && w.warm && barred[byMemory] { // who waits before it may get the memory of that driver
			why = &obstacle{by: byMemory, what: "others wait for memory before it"}
		}
		if why != nil {
			barred[byMemory] = true
			return why
		}
	}
	if w.warm && barred[byStarting+w.ofCaller()] {
		return &obstacle{by: byStarting, what: "other sessions of its caller wait before it"}
	}
	if most := b.Starting; !w.warm && most > 0 {
		if n, _ := l.busyLocked(now); n >= most || barred[byStarting] {
			barred[byStarting], barred[byStarting+w.ofCaller()] = true, true
			return &obstacle{by: byStarting, what: fmt.Sprintf("%d other sessions are being started, which is as many as the machine starts at once", n)}
		}
	}
	if most := b.StartsPerSecond; most > 0 && (l.starts < 1 || barred[byRate]) {
		barred[byRate] = true
		return &obstacle{by: byRate, what: "at most " + number(most) + " sessions begin to start in a second"}
	}
	return nil
}

// memoryLocked is why one more session cannot start for want of memory; nil: it
// can. One alone always can: for it nobody here could make room. A warm one has
// its memory, and is only counted.
func (l *ledger) memoryLocked(mem machine.Memory, warm bool) *obstacle {
	starting, r := l.startingLocked(), l.memory
	counted := (len(l.held) + 1) * r.reserve
	free := mem.Available - (starting+1)*r.reserve
	switch {
	case len(l.held) == 0:
	case counted > mem.Total-r.headroom:
		return &obstacle{by: byMemory, what: fmt.Sprintf("%d sessions are counted for %d MiB each, and of %d MiB of memory %d stay free for those that work",
			len(l.held), r.reserve, mem.Total, r.headroom)}
	case warm:
	case mem.Available >= 0 && free < r.headroom:
		return &obstacle{lifted: true, by: byMemory, what: fmt.Sprintf("%d of %d MiB of memory are available, %d starting sessions and this one are counted for %d MiB each, and %d MiB stay free for those that work",
			mem.Available, mem.Total, starting, r.reserve, r.headroom)}
	case mem.Pressure >= stalled:
		return &obstacle{by: byMemory, what: fmt.Sprintf("what runs waits for memory during %.0f percent of the time", mem.Pressure)}
	}
	return nil
}

// startingLocked is how many sessions are being started.
func (l *ledger) startingLocked() (n int) {
	for _, p := range l.held {
		if p.starting {
			n++
		}
	}
	return n
}

// busyLocked is how many sessions that are being started have the processors for
// it, and after how long the first of them has had its time.
func (l *ledger) busyLocked(now time.Time) (n int, next time.Duration) {
	for _, p := range l.held {
		left := slowStart - now.Sub(p.begun)
		if !p.starting || left <= 0 {
			continue
		}
		if n++; next == 0 || left < next {
			next = left
		}
	}
	return n, next
}

// countLocked counts how many sessions may begin to start now.
func (l *ledger) countLocked(now time.Time) {
	rate := l.budgets.StartsPerSecond
	if rate <= 0 {
		return
	}
	most := max(1, rate)
	if l.counted.IsZero() {
		l.starts = most
	} else {
		l.starts = min(most, l.starts+rate*now.Sub(l.counted).Seconds())
	}
	l.counted = now
}

// nextStartLocked is after how long one more session may begin to start.
func (l *ledger) nextStartLocked() time.Duration {
	missing := max(0, 1-l.starts)
	return time.Duration(missing/l.budgets.StartsPerSecond*float64(time.Second)) + time.Millisecond
}

// serveLocked gives a place.
func (l *ledger) serveLocked(n need, starting bool, now time.Time) {
	l.held[n.key] = &place{need: n, starting: starting, begun: now}
	l.turn++
	l.served[n.caller] = l.turn
}

// dropLocked takes a session out of the queue; false: it was not in it.
func (l *ledger) dropLocked(key Key) bool {
	at := l.findLocked(key)
	if at < 0 {
		return false
	}
	n := l.waiting[at].need
	l.waiting = slices.Delete(l.waiting, at, at+1)
	l.forgetLocked(n)
	return true
}

func (l *ledger) findLocked(key Key) int {
	return slices.IndexFunc(l.waiting, func(w *waiter) bool { return w.key == key })
}

// forgetLocked forgets when a caller was served that has nothing here any more.
func (l *ledger) forgetLocked(n need) {
	for _, w := range l.waiting {
		if w.caller == n.caller {
			return
		}
	}
	for p := range maps.Values(l.held) {
		if p.caller == n.caller {
			return
		}
	}
	delete(l.served, n.caller)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
