package storetest

import (
	"context"
	"fmt"
	"slices"

	"glaux/internal/session"
	"glaux/internal/statement"
)

// memoryStatementKey names a statement's row.
type memoryStatementKey struct {
	session session.Key
	id      int
}

func storedStatement(st statement.Statement) statement.Statement {
	st = copyOf(st)
	st.Submitted, st.Started, st.Completed = stored(st.Submitted), stored(st.Started), stored(st.Completed)
	if st.Output != nil && len(st.Output.Traceback) == 0 {
		st.Output.Traceback = nil
	}
	return st
}

func checkStatement(st statement.Statement, old *statement.Statement) error {
	over := st.State.Terminal()
	switch {
	case st.ID < 0:
		return fmt.Errorf("%w: ids of statements count from 0", errConstraint)
	case over == st.Completed.IsZero():
		return fmt.Errorf("%w: a statement has a completion time if and only if it is over", errConstraint)
	case over == (st.Output == nil):
		return fmt.Errorf("%w: a statement has an output if and only if it is over", errConstraint)
	case old != nil && old.State.Terminal():
		return fmt.Errorf("%w: a statement that is over stays as it is", errConstraint)
	}
	return nil
}

// CreateStatement implements statement.Store.
func (m *Memory) CreateStatement(ctx context.Context, st statement.Statement, begin func(*session.Session) (int, error)) (statement.Statement, error) {
	if err := m.failed("CreateStatement"); err != nil {
		return statement.Statement{}, err
	}
	st = storedStatement(st)
	st.Version = 1
	for {
		old, err := m.Session(ctx, st.Session)
		if err != nil {
			return statement.Statement{}, err
		}
		s := storedSession(old)
		if st.ID, err = begin(&s); err != nil {
			return statement.Statement{}, err
		}
		s = keptSession(s, old)
		if err := checkSession(s, &old); err != nil {
			return statement.Statement{}, err
		}
		if err := checkStatement(st, nil); err != nil {
			return statement.Statement{}, err
		}
		if done, err := m.insertStatement(st, s); err != nil {
			return statement.Statement{}, err
		} else if done {
			return storedStatement(st), nil
		}
	}
}

// insertStatement writes the statement with its session; false when somebody
// was faster.
func (m *Memory) insertStatement(st statement.Statement, s session.Session) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, ok := m.sessions[s.Key]
	if !ok || now.Version != s.Version-1 {
		return false, nil
	}
	at := memoryStatementKey{st.Session, st.ID}
	if _, ok := m.statements[at]; ok {
		return false, fmt.Errorf("%w: session %q has a statement %d", errConstraint, st.Session, st.ID)
	}
	m.sessions[s.Key] = memorySession{s, now.tags}
	m.statements[at] = storedStatement(st)
	return true, nil
}

// Statement implements statement.Store.
func (m *Memory) Statement(_ context.Context, key session.Key, id int) (statement.Statement, error) {
	if err := m.failed("Statement"); err != nil {
		return statement.Statement{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	st, ok := m.statements[memoryStatementKey{key, id}]
	if !ok {
		return statement.Statement{}, statement.ErrNotFound
	}
	return storedStatement(st), nil
}

// UpdateStatement implements statement.Store.
func (m *Memory) UpdateStatement(ctx context.Context, key session.Key, id int, change func(*statement.Statement) error) (statement.Statement, error) {
	if err := m.failed("UpdateStatement"); err != nil {
		return statement.Statement{}, err
	}
	return m.changeStatement(ctx, key, id, false, func(st *statement.Statement, _ *session.Session) error { return change(st) })
}

// EndStatement implements statement.Store.
func (m *Memory) EndStatement(ctx context.Context, key session.Key, id int, change func(*statement.Statement, *session.Session) error) (statement.Statement, error) {
	if err := m.failed("EndStatement"); err != nil {
		return statement.Statement{}, err
	}
	return m.changeStatement(ctx, key, id, true, change)
}

// changeStatement writes a statement, and its session where that is asked for.
func (m *Memory) changeStatement(ctx context.Context, key session.Key, id int, both bool, change func(*statement.Statement, *session.Session) error) (statement.Statement, error) {
	for {
		old, err := m.Statement(ctx, key, id)
		if err != nil {
			return statement.Statement{}, err
		}
		oldSession, err := m.Session(ctx, key)
		if err != nil {
			return statement.Statement{}, err
		}
		st, s := storedStatement(old), storedSession(oldSession)
		if err := change(&st, &s); err != nil {
			return statement.Statement{}, err
		}
		st.Session, st.ID, st.Submitted, st.Code, st.Version = old.Session, old.ID, old.Submitted, old.Code, old.Version+1
		st, s = storedStatement(st), keptSession(s, oldSession)
		if err := checkStatement(st, &old); err != nil {
			return statement.Statement{}, err
		}
		if err := checkSession(s, &oldSession); both && err != nil {
			return statement.Statement{}, err
		}
		if m.swapStatement(st, s, both) {
			return storedStatement(st), nil
		}
	}
}

func (m *Memory) swapStatement(st statement.Statement, s session.Session, both bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := memoryStatementKey{st.Session, st.ID}
	if now, ok := m.statements[at]; !ok || now.Version != st.Version-1 {
		return false
	}
	if both {
		now, ok := m.sessions[s.Key]
		if !ok || now.Version != s.Version-1 {
			return false
		}
		m.sessions[s.Key] = memorySession{s, now.tags}
	}
	m.statements[at] = st
	return true
}

// Statements implements statement.Store.
func (m *Memory) Statements(_ context.Context, key session.Key, from, limit, bytes int) ([]statement.Statement, error) {
	if err := m.failed("Statements"); err != nil {
		return nil, err
	}
	var page []statement.Statement
	left := bytes
	for _, st := range m.statementsOf(key) {
		if st.ID < from || left <= 0 || len(page) >= limit {
			continue
		}
		left -= st.Size()
		page = append(page, st)
	}
	return page, nil
}

// statementsOf returns all statements of a session in order.
func (m *Memory) statementsOf(key session.Key) []statement.Statement {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []statement.Statement
	for at, st := range m.statements {
		if at.session == key {
			all = append(all, storedStatement(st))
		}
	}
	slices.SortFunc(all, func(a, b statement.Statement) int { return a.ID - b.ID })
	return all
}

// FirstOpen implements statement.Store.
func (m *Memory) FirstOpen(_ context.Context, key session.Key) (statement.Statement, error) {
	if err := m.failed("FirstOpen"); err != nil {
		return statement.Statement{}, err
	}
	for _, st := range m.statementsOf(key) {
		if !st.State.Terminal() {
			return st, nil
		}
	}
	return statement.Statement{}, statement.ErrNotFound
}

// OpenSessions implements statement.Store.
func (m *Memory) OpenSessions(context.Context) ([]session.Key, error) {
	if err := m.failed("OpenSessions"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []session.Key
	for at, st := range m.statements {
		if !st.State.Terminal() && !slices.Contains(all, at.session) {
			all = append(all, at.session)
		}
	}
	slices.Sort(all)
	return all, nil
}
