package storetest

import (
	"context"
	"fmt"
	"slices"

	"glaux/internal/calc"
	"glaux/internal/session"
	"glaux/internal/workgroup"
)

// CreateSession implements session.Store.
func (m *Memory) CreateSession(_ context.Context, n session.Creation) (session.Session, bool, error) {
	if err := m.failed("CreateSession"); err != nil {
		return session.Session{}, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := storedSession(n.Session)
	key := memoryTokenKey{s.Account, n.Operation, n.Token}
	if t, ok, err := m.tokenLocked(key, n.Hash); err != nil {
		return session.Session{}, false, err
	} else if ok {
		return storedSession(m.sessions[t.session].Session), false, nil
	}
	if err := m.admitLocked(n); err != nil {
		return session.Session{}, false, err
	}
	if err := checkSession(s, nil); err != nil {
		return session.Session{}, false, err
	}
	for _, have := range m.sessions {
		if have.Key == s.Key || have.Face == session.Athena && s.Face == session.Athena && have.Account == s.Account && have.ID == s.ID {
			return session.Session{}, false, fmt.Errorf("%w: key and Athena's id of a session are unique", errConstraint)
		}
	}
	s.Version = 1
	m.sessions[s.Key] = memorySession{s, byKey(n.Tags)}
	if n.Token != "" {
		m.tokens[key] = memoryToken{hash: slices.Clone(n.Hash), session: s.Key}
	}
	return storedSession(s), true, nil
}

// admitLocked asks whether a new session may be written.
func (m *Memory) admitLocked(n session.Creation) error {
	s, live := n.Session, 0
	if _, ok := m.workgroups[workgroup.Resource{Account: s.Account, Workgroup: s.Workgroup}]; n.NeedsWorkgroup && !ok {
		return workgroup.ErrNotFound
	}
	busy, taken := false, false
	for _, have := range m.sessions {
		taken = taken || s.Face == session.Glue && have.Face == session.Glue && have.Account == s.Account && have.ID == s.ID && !have.Deleted
		if have.State != session.Ended {
			live++
			busy = busy || s.NotebookID != "" && have.Account == s.Account && have.NotebookID == s.NotebookID
		}
	}
	switch {
	case taken:
		return session.ErrTaken
	case n.MaxLive > 0 && live >= n.MaxLive:
		return session.ErrTooMany
	case n.Refused != nil:
		return n.Refused
	case busy:
		return session.ErrNotebookBusy
	}
	return nil
}

// Session implements session.Store.
func (m *Memory) Session(_ context.Context, key session.Key) (session.Session, error) {
	if err := m.failed("Session"); err != nil {
		return session.Session{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[key]
	if !ok {
		return session.Session{}, session.ErrNotFound
	}
	return storedSession(s.Session), nil
}

// FindSession implements session.Store.
func (m *Memory) FindSession(_ context.Context, account string, face session.Face, id string) (session.Session, error) {
	if err := m.failed("FindSession"); err != nil {
		return session.Session{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []session.Session
	for _, s := range m.sessions {
		if s.Account == account && s.Face == face && s.ID == id && !s.Deleted {
			found = append(found, s.Session)
		}
	}
	if len(found) == 0 {
		return session.Session{}, session.ErrNotFound
	}
	sortSessions(found)
	return storedSession(found[0]), nil
}

func sortSessions(all []session.Session) {
	slices.SortFunc(all, func(a, b session.Session) int {
		return newestFirst(a.Created, b.Created, string(a.Key), string(b.Key))
	})
}

// UpdateSession implements session.Store.
func (m *Memory) UpdateSession(ctx context.Context, key session.Key, change func(*session.Session) error) (session.Session, error) {
	if err := m.failed("UpdateSession"); err != nil {
		return session.Session{}, err
	}
	for {
		old, err := m.Session(ctx, key)
		if err != nil {
			return session.Session{}, err
		}
		s := storedSession(old)
		if err := change(&s); err != nil {
			return session.Session{}, err
		}
		s = keptSession(s, old)
		if err := checkSession(s, &old); err != nil {
			return session.Session{}, err
		}
		if m.swap(&s, nil) {
			return storedSession(s), nil
		}
	}
}

// keptSession puts back what an update cannot change and raises the version.
func keptSession(s, old session.Session) session.Session {
	s = storedSession(s)
	s.Key, s.Account, s.Face, s.ID, s.Created, s.Version = old.Key, old.Account, old.Face, old.ID, old.Created, old.Version+1
	return s
}

// swap writes the rows where both versions still are the ones before; nil: none.
func (m *Memory) swap(s *session.Session, c *calc.Calculation) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s != nil {
		if now, ok := m.sessions[s.Key]; !ok || now.Version != s.Version-1 {
			return false
		}
	}
	if c != nil {
		if now, ok := m.calculations[c.ID]; !ok || now.Version != c.Version-1 {
			return false
		}
		m.calculations[c.ID] = *c
	}
	if s != nil {
		m.sessions[s.Key] = memorySession{storedSession(*s), m.sessions[s.Key].tags}
	}
	return true
}

// Sessions implements session.Store.
func (m *Memory) Sessions(_ context.Context, q session.Query) ([]session.Session, error) {
	if err := m.failed("Sessions"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []session.Session
	for _, s := range m.sessions {
		ended := s.State == session.Ended
		if (q.Account == "" || q.Account == s.Account) && (q.Face == "" || q.Face == s.Face) &&
			(q.Workgroup == "" || q.Workgroup == s.Workgroup) &&
			(len(q.States) == 0 || slices.Contains(q.States, s.State)) &&
			(len(q.Causes) == 0 || !ended || slices.Contains(q.Causes, s.Cause)) &&
			(q.EndedBy.IsZero() || ended && !s.EndedAt.After(stored(q.EndedBy))) &&
			(q.Deleted == session.All || s.Deleted == (q.Deleted == session.OnlyDeleted)) &&
			!slices.ContainsFunc(q.Tags, func(t workgroup.Tag) bool { return !slices.Contains(s.tags, t) }) &&
			olderThan(q.After, s.Created, string(s.Key)) {
			all = append(all, storedSession(s.Session))
		}
	}
	sortSessions(all)
	return first(all, q.Limit), nil
}

// DeleteSession implements session.Store.
func (m *Memory) DeleteSession(_ context.Context, key session.Key) error {
	if err := m.failed("DeleteSession"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[key]
	if !ok {
		return nil
	}
	if s.State != session.Ended {
		return fmt.Errorf("cannot delete session %q: it is %s", key, s.State)
	}
	delete(m.sessions, key)
	for id, c := range m.calculations {
		if c.Session == key {
			delete(m.calculations, id)
		}
	}
	for at := range m.statements {
		if at.session == key {
			delete(m.statements, at)
		}
	}
	for k, t := range m.tokens {
		if t.session == key {
			delete(m.tokens, k)
		}
	}
	return nil
}

// SessionTags implements session.TagStore.
func (m *Memory) SessionTags(_ context.Context, key session.Key) ([]workgroup.Tag, error) {
	if err := m.failed("SessionTags"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[key]
	if !ok {
		return nil, session.ErrNotFound
	}
	return slices.Clone(s.tags), nil
}

// ChangeSessionTags implements session.TagStore.
func (m *Memory) ChangeSessionTags(_ context.Context, key session.Key, change func([]workgroup.Tag) ([]workgroup.Tag, error)) error {
	if err := m.failed("ChangeSessionTags"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[key]
	if !ok {
		return session.ErrNotFound
	}
	tags, err := change(slices.Clone(s.tags))
	if err != nil {
		return err
	}
	m.sessions[key] = memorySession{s.Session, byKey(tags)}
	return nil
}

// NextEpoch implements session.Store.
func (m *Memory) NextEpoch(context.Context) (uint64, error) {
	if err := m.failed("NextEpoch"); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	return m.epoch, nil
}

// CreateCalculation implements calc.Store.
func (m *Memory) CreateCalculation(ctx context.Context, n calc.Creation, begin func(*session.Session) error) (calc.Calculation, bool, error) {
	if err := m.failed("CreateCalculation"); err != nil {
		return calc.Calculation{}, false, err
	}
	c := storedCalculation(n.Calculation)
	c.Version = 1
	key := memoryTokenKey{c.Account, n.Operation, n.Token}
	for {
		if c, ok, err := m.earlier(key, n.Hash); ok || err != nil {
			return c, false, err
		}
		old, err := m.Session(ctx, c.Session)
		if err != nil {
			return calc.Calculation{}, false, err
		}
		s := storedSession(old)
		if refused := begin(&s); refused != nil {
			if c, ok, err := m.earlier(key, n.Hash); ok || err != nil {
				return c, false, err
			}
			return calc.Calculation{}, false, refused
		}
		s = keptSession(s, old)
		if err := checkSession(s, &old); err != nil {
			return calc.Calculation{}, false, err
		}
		if err := checkCalculation(c, nil); err != nil {
			return calc.Calculation{}, false, err
		}
		if done, err := m.insertCalculation(c, s, key, n.Hash); err != nil {
			return calc.Calculation{}, false, err
		} else if done {
			return c, true, nil
		}
	}
}

// earlier returns the calculation that a token made before.
func (m *Memory) earlier(key memoryTokenKey, hash []byte) (calc.Calculation, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok, err := m.tokenLocked(key, hash)
	if !ok || err != nil {
		return calc.Calculation{}, false, err
	}
	return m.calculations[t.calculation], true, nil
}

// insertCalculation writes the calculation with its session and token; false
// when somebody was faster.
func (m *Memory) insertCalculation(c calc.Calculation, s session.Session, key memoryTokenKey, hash []byte) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, ok := m.sessions[s.Key]
	if _, used := m.tokens[key]; key.token != "" && used || !ok || now.Version != s.Version-1 {
		return false, nil
	}
	if _, ok := m.calculations[c.ID]; ok {
		return false, fmt.Errorf("%w: a calculation's id is unique", errConstraint)
	}
	m.sessions[s.Key] = memorySession{s, now.tags}
	m.calculations[c.ID] = c
	if key.token != "" {
		m.tokens[key] = memoryToken{hash: slices.Clone(hash), session: s.Key, calculation: c.ID}
	}
	return true, nil
}

// Calculation implements calc.Store.
func (m *Memory) Calculation(_ context.Context, account, id string) (calc.Calculation, error) {
	if err := m.failed("Calculation"); err != nil {
		return calc.Calculation{}, err
	}
	c, err := m.calculation(id)
	if err == nil && c.Account != account {
		return calc.Calculation{}, calc.ErrNotFound
	}
	return c, err
}

func (m *Memory) calculation(id string) (calc.Calculation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.calculations[id]
	if !ok {
		return calc.Calculation{}, calc.ErrNotFound
	}
	return c, nil
}

// UpdateCalculation implements calc.Store.
func (m *Memory) UpdateCalculation(_ context.Context, id string, change func(*calc.Calculation) error) (calc.Calculation, error) {
	if err := m.failed("UpdateCalculation"); err != nil {
		return calc.Calculation{}, err
	}
	for {
		old, err := m.calculation(id)
		if err != nil {
			return calc.Calculation{}, err
		}
		c := old
		if err := change(&c); err != nil {
			return calc.Calculation{}, err
		}
		c = keptCalculation(c, old)
		if err := checkCalculation(c, &old); err != nil {
			return calc.Calculation{}, err
		}
		if m.swap(nil, &c) {
			return c, nil
		}
	}
}

// EndCalculation implements calc.Store.
func (m *Memory) EndCalculation(ctx context.Context, id string, change func(*calc.Calculation, *session.Session) error) (calc.Calculation, session.Session, error) {
	fail := func(err error) (calc.Calculation, session.Session, error) {
		return calc.Calculation{}, session.Session{}, err
	}
	if err := m.failed("EndCalculation"); err != nil {
		return fail(err)
	}
	for {
		oldCalc, err := m.calculation(id)
		if err != nil {
			return fail(err)
		}
		oldSession, err := m.Session(ctx, oldCalc.Session)
		if err != nil {
			return fail(err)
		}
		c, s := oldCalc, storedSession(oldSession)
		if err := change(&c, &s); err != nil {
			return fail(err)
		}
		c, s = keptCalculation(c, oldCalc), keptSession(s, oldSession)
		if err := checkCalculation(c, &oldCalc); err != nil {
			return fail(err)
		}
		if err := checkSession(s, &oldSession); err != nil {
			return fail(err)
		}
		if m.swap(&s, &c) {
			return c, storedSession(s), nil
		}
	}
}

// keptCalculation puts back what an update cannot change and raises the version.
func keptCalculation(c, old calc.Calculation) calc.Calculation {
	c = storedCalculation(c)
	c.ID, c.Session, c.Account, c.Submitted, c.Code, c.Version = old.ID, old.Session, old.Account, old.Submitted, old.Code, old.Version+1
	return c
}

// Calculations implements calc.Store.
func (m *Memory) Calculations(_ context.Context, q calc.Query) ([]calc.Calculation, error) {
	if err := m.failed("Calculations"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []calc.Calculation
	for _, c := range m.calculations {
		if (q.Account == "" || q.Account == c.Account) && (q.Session == "" || q.Session == c.Session) &&
			(len(q.States) == 0 || slices.Contains(q.States, c.State)) && olderThan(q.After, c.Submitted, c.ID) {
			c.Code = ""
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b calc.Calculation) int { return newestFirst(a.Submitted, b.Submitted, a.ID, b.ID) })
	return first(all, q.Limit), nil
}
