package calc

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"glaux/internal/access"
	"glaux/internal/cell"
	"glaux/internal/engine"
	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/session"
)

// Request asks for a calculation. Lengths of its members were checked before.
type Request struct {
	Session     string // the session's public id
	Code        string
	Description string
	Token       string // idempotency token; empty: none
}

// hash is what tells one request from another under the same token.
func (in *Request) hash() []byte {
	h := sha256.New()
	for _, part := range []string{in.Session, in.Code, in.Description} {
		h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// Start makes a calculation on a session that has none, which is Busy from then
// on, and returns it as CREATING. The same token with the same request returns
// the calculation it made before. Refusals are faults and create nothing.
func (m *Manager) Start(ctx context.Context, who access.Caller, in Request) (Calculation, error) {
	s, err := m.cfg.Sessions.Find(ctx, who, "athena:StartCalculationExecution", in.Session)
	if err != nil {
		return Calculation{}, err
	}
	if err := m.open(); err != nil {
		return Calculation{}, err
	}
	if s.WorkingDir == "" {
		return Calculation{}, fault.Invalidf("No output location provided. An output location is required either through the Workgroup result configuration setting or as an API input.")
	}
	id := ident.NewID()
	c := Calculation{
		ID:          id,
		Session:     s.Key,
		Account:     s.Account,
		Workgroup:   s.Workgroup,
		Description: in.Description,
		Code:        in.Code,
		State:       Creating,
		Submitted:   time.Now().UTC(),
		WorkingDir:  s.WorkingDir + "/" + id,
	}
	n := Creation{Calculation: c, Operation: "StartCalculationExecution", Token: in.Token, Hash: in.hash()}
	c, created, err := m.cfg.Store.CreateCalculation(ctx, n, func(s *session.Session) error {
		if !s.Free() {
			return fault.Invalidf("Session is in the %s state; needs to be IDLE to accept Calculations.", s.AthenaState())
		}
		return s.Take(id, time.Now())
	})
	switch {
	case errors.Is(err, session.ErrTokenUsed):
		return Calculation{}, session.MismatchedToken()
	case err != nil:
		if _, refused := errors.AsType[*fault.Error](err); refused {
			return Calculation{}, err
		}
		return Calculation{}, internal("create calculation", err)
	}
	if created {
		c.Code = in.Code
		m.begin(c, s)
	}
	return c, nil
}

// find returns the caller's calculation of the id after asking whether the
// caller may do action on its session, because calculations have no ARN of
// their own. An unknown id is a fault of kind Invalid.
func (m *Manager) find(ctx context.Context, who access.Caller, action, id string) (Calculation, error) {
	c, err := m.cfg.Store.Calculation(ctx, who.Account, id)
	if errors.Is(err, ErrNotFound) {
		if err := m.cfg.Access.Decide(ctx, who, action, m.cfg.Home.Session("*", "*")); err != nil {
			return Calculation{}, err
		}
		return Calculation{}, fault.Invalidf("Calculation execution %s is not found.", id).About(id)
	}
	if err != nil {
		return Calculation{}, internal("read calculation", err)
	}
	if err := m.cfg.Access.Decide(ctx, who, action, m.cfg.Home.Session(c.Workgroup, string(c.Session))); err != nil {
		return Calculation{}, err
	}
	if c.State.Terminal() {
		m.awaitSettled(ctx, id)
	}
	return m.live(c), nil
}

// awaitSettled waits, where this server is just recording the end of the
// calculation, until that is done: whoever is told of the end finds the
// session idle, whichever way the store answers meanwhile.
func (m *Manager) awaitSettled(ctx context.Context, id string) {
	if j := m.job(id); j != nil {
		cell.Await(ctx, j.settled, time.Second)
	}
}

// live is c as it is at the moment: rows are written less often than
// calculations move.
func (m *Manager) live(c Calculation) Calculation {
	if c.State.Terminal() {
		return c
	}
	j := m.job(c.ID)
	if j == nil {
		return c
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if c.State != Canceling {
		c.State = j.state
	}
	if !j.begun.IsZero() {
		c.Run = time.Since(j.begun)
		c.DPUMillis = int64(j.dpus) * c.Run.Milliseconds()
		c.Progress = m.cfg.Sessions.Tasks(c.Session, engine.CellID(c.ID))
	}
	return c
}

// Get returns one calculation for GetCalculationExecution. One that is not
// over it returns a little later, or as soon as it is over.
func (m *Manager) Get(ctx context.Context, who access.Caller, id string) (Calculation, error) {
	return m.patient(ctx, who, "athena:GetCalculationExecution", id)
}

// GetStatus returns one calculation for GetCalculationExecutionStatus, like Get.
func (m *Manager) GetStatus(ctx context.Context, who access.Caller, id string) (Calculation, error) {
	return m.patient(ctx, who, "athena:GetCalculationExecutionStatus", id)
}

// patient is find for those who wait for the calculation's end by asking again
// and again.
func (m *Manager) patient(ctx context.Context, who access.Caller, action, id string) (Calculation, error) {
	c, err := m.find(ctx, who, action, id)
	if err != nil || c.State.Terminal() || m.cfg.Patience == 0 {
		return c, err
	}
	j := m.job(id)
	if j == nil || cell.Await(ctx, j.settled, m.cfg.Patience) { // it has ended since
		return m.find(ctx, who, action, id)
	}
	return m.live(c), nil
}

// Code returns the code of one calculation.
func (m *Manager) Code(ctx context.Context, who access.Caller, id string) (string, error) {
	c, err := m.find(ctx, who, "athena:GetCalculationExecutionCode", id)
	return c.Code, err
}

// Stop asks a calculation to end and returns it as it is then: CANCELING. On
// one that is over, or is being cancelled, it does nothing and succeeds.
func (m *Manager) Stop(ctx context.Context, who access.Caller, id string) (Calculation, error) {
	c, err := m.find(ctx, who, "athena:StopCalculationExecution", id)
	if err != nil || c.State.Terminal() || c.State == Canceling {
		return c, err
	}
	var as Calculation
	c, err = m.cfg.Store.UpdateCalculation(ctx, id, func(c *Calculation) error {
		if c.State.Terminal() || c.State == Canceling {
			as = *c
			return errOver
		}
		return c.Move(Stop, time.Now(), "")
	})
	switch {
	case errors.Is(err, errOver):
		return as, nil
	case err != nil:
		return c, internal("stop calculation", err)
	}
	if j := m.job(id); j != nil {
		j.move(Stop)
		cell.Poke(j.cancel)
	}
	return c, nil
}

// ListRequest asks for a page of calculations.
type ListRequest struct {
	Session string
	State   State          // empty: all
	After   session.Cursor // where the page begins; zero: at the newest
	Limit   int            // at most so many; at least 1
}

// List returns a page of a session's calculations, newest first and without
// their code, and where the next page begins; more is false after the last one.
func (m *Manager) List(ctx context.Context, who access.Caller, in ListRequest) (page []Calculation, next session.Cursor, more bool, err error) {
	s, err := m.cfg.Sessions.Find(ctx, who, "athena:ListCalculationExecutions", in.Session)
	if err != nil {
		return nil, next, false, err
	}
	q := Query{Account: who.Account, Session: s.Key, After: in.After, Limit: in.Limit + 1}
	switch {
	case in.State == "":
	case in.State.Terminal():
		q.States = []State{in.State}
	default:
		// Rows are behind; a session has one of these at most.
		q.States, q.Limit = unfinished(), 0
	}
	page, err = m.cfg.Store.Calculations(ctx, q)
	if err != nil {
		return nil, next, false, internal("list calculations", err)
	}
	for i := range page {
		page[i] = m.live(page[i])
	}
	if in.State != "" {
		page = slices.DeleteFunc(page, func(c Calculation) bool { return c.State != in.State })
	}
	if more = len(page) > in.Limit; more {
		page = page[:in.Limit]
		last := page[in.Limit-1]
		next = session.Cursor{Time: last.Submitted, ID: last.ID}
	}
	return page, next, more, nil
}

// ProgressText is the Progress of the Statistics: the share of the Spark tasks
// known so far that are done, such as "42%".
func (c *Calculation) ProgressText() string {
	if c.State == Completed {
		return "100%"
	}
	if c.Progress.Total <= 0 {
		return "0%"
	}
	return fmt.Sprintf("%d%%", min(100, c.Progress.Done*100/c.Progress.Total))
}
