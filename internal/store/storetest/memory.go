package storetest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"glaux/internal/access"
	"glaux/internal/calc"
	"glaux/internal/resource"
	"glaux/internal/session"
	"glaux/internal/statement"
	"glaux/internal/workgroup"
)

// Memory is a store in memory. It passes the same suite as the real one, does
// no I/O, starts no goroutines and reads no clock, so that it can be used
// inside a synctest bubble. Like the real one it compares and swaps: functions
// that edit a row run without any lock held, and again when they lost a race.
type Memory struct {
	// Fail, when not nil, is asked before every method with its name; an error
	// stands for a store that cannot be used. Set it before the first use.
	Fail func(method string) error

	mu           sync.Mutex
	workgroups   map[workgroup.Resource]memoryWorkgroup // guarded by mu, as all below
	sessions     map[session.Key]memorySession
	calculations map[string]calc.Calculation
	statements   map[memoryStatementKey]statement.Statement
	tokens       map[memoryTokenKey]memoryToken
	items        map[resource.Key]memoryItem
	keys         []access.SealedKey
	tickets      []access.Ticket
	epoch        uint64
}

type memoryWorkgroup struct {
	workgroup.Workgroup
	tags []workgroup.Tag
}

type memorySession struct {
	session.Session
	tags []workgroup.Tag
}

type memoryTokenKey struct{ account, operation, token string }

type memoryToken struct {
	hash        []byte
	session     session.Key
	calculation string
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		workgroups:   map[workgroup.Resource]memoryWorkgroup{},
		sessions:     map[session.Key]memorySession{},
		calculations: map[string]calc.Calculation{},
		statements:   map[memoryStatementKey]statement.Statement{},
		tokens:       map[memoryTokenKey]memoryToken{},
		items:        map[resource.Key]memoryItem{},
	}
}

// The interfaces of the domain that a Memory satisfies.
var (
	_ workgroup.Store  = (*Memory)(nil)
	_ session.Store    = (*Memory)(nil)
	_ session.TagStore = (*Memory)(nil)
	_ calc.Store       = (*Memory)(nil)
	_ statement.Store  = (*Memory)(nil)
	_ resource.Store   = (*Memory)(nil)
	_ access.KeyStore  = (*Memory)(nil)
)

func (m *Memory) failed(method string) error {
	if m.Fail == nil {
		return nil
	}
	return m.Fail(method)
}

// copyOf is a deep copy, through JSON like in the real store.
func copyOf[T any](v T) T {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("cannot copy %T: %v", v, err))
	}
	var c T
	if err := json.Unmarshal(b, &c); err != nil {
		panic(fmt.Sprintf("cannot copy %T: %v", v, err))
	}
	return c
}

// stored is a time as a store gives it back.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

func storedWorkgroup(w workgroup.Workgroup) workgroup.Workgroup {
	w = copyOf(w)
	w.Created = stored(w.Created)
	return w
}

func storedSession(s session.Session) session.Session {
	s = copyOf(s)
	for _, t := range []*time.Time{&s.Created, &s.Changed, &s.Admitted, &s.Spawned, &s.IdleSince, &s.EndedAt} {
		*t = stored(*t)
	}
	for i := range s.Executors {
		s.Executors[i].Added, s.Executors[i].Removed = stored(s.Executors[i].Added), stored(s.Executors[i].Removed)
	}
	if len(s.Executors) == 0 {
		s.Executors = nil
	}
	if len(s.Properties) == 0 {
		s.Properties = nil
	}
	if len(s.Handle) == 0 {
		s.Handle = nil
	}
	return s
}

func storedCalculation(c calc.Calculation) calc.Calculation {
	c.Submitted, c.Completed = stored(c.Submitted), stored(c.Completed)
	return c
}

// errConstraint stands for the constraints of the real store's schema.
var errConstraint = errors.New("a constraint of the store is broken")

func checkSession(s session.Session, old *session.Session) error {
	ended := s.State == session.Ended
	switch {
	case s.Key == "" || s.ID == "":
		return fmt.Errorf("%w: a session has a key and an id", errConstraint)
	case ended == s.EndedAt.IsZero():
		return fmt.Errorf("%w: a session has an end time if and only if it has ended", errConstraint)
	case ended && s.Cause == "":
		return fmt.Errorf("%w: a session that has ended has a cause", errConstraint)
	case old != nil && old.State == session.Ended && (!ended || !s.EndedAt.Equal(old.EndedAt) || s.Cause != old.Cause):
		return fmt.Errorf("%w: a session that has ended stays as it is", errConstraint)
	}
	return nil
}

func terminal(s calc.State) bool {
	return s == calc.Canceled || s == calc.Completed || s == calc.Failed
}

func checkCalculation(c calc.Calculation, old *calc.Calculation) error {
	switch {
	case c.ID == "":
		return fmt.Errorf("%w: a calculation has an id", errConstraint)
	case terminal(c.State) == c.Completed.IsZero():
		return fmt.Errorf("%w: a calculation has a completion time if and only if it is over", errConstraint)
	case old != nil && terminal(old.State) && (c.State != old.State || !c.Completed.Equal(old.Completed)):
		return fmt.Errorf("%w: a calculation that is over stays as it is", errConstraint)
	}
	return nil
}

// CreateWorkgroup implements workgroup.Store.
func (m *Memory) CreateWorkgroup(_ context.Context, w workgroup.Workgroup, tags []workgroup.Tag, limit int) error {
	if err := m.failed("CreateWorkgroup"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	of := workgroup.Resource{Account: w.Account, Workgroup: w.Name}
	count := 0
	for have := range m.workgroups {
		if have.Account == w.Account {
			count++
		}
	}
	if _, ok := m.workgroups[of]; ok {
		return workgroup.ErrExists
	}
	if limit > 0 && count >= limit {
		return workgroup.ErrFull
	}
	w = storedWorkgroup(w)
	w.Version = 1
	m.workgroups[of] = memoryWorkgroup{w, byKey(tags)}
	return nil
}

// Workgroup implements workgroup.Store.
func (m *Memory) Workgroup(_ context.Context, account, name string) (workgroup.Workgroup, error) {
	if err := m.failed("Workgroup"); err != nil {
		return workgroup.Workgroup{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	w, ok := m.workgroups[workgroup.Resource{Account: account, Workgroup: name}]
	if !ok {
		return workgroup.Workgroup{}, workgroup.ErrNotFound
	}
	return storedWorkgroup(w.Workgroup), nil
}

// UpdateWorkgroup implements workgroup.Store.
func (m *Memory) UpdateWorkgroup(ctx context.Context, account, name string, change func(*workgroup.Workgroup) error) (workgroup.Workgroup, error) {
	if err := m.failed("UpdateWorkgroup"); err != nil {
		return workgroup.Workgroup{}, err
	}
	of := workgroup.Resource{Account: account, Workgroup: name}
	for {
		old, err := m.Workgroup(ctx, account, name)
		if err != nil {
			return workgroup.Workgroup{}, err
		}
		w := storedWorkgroup(old)
		if err := change(&w); err != nil {
			return workgroup.Workgroup{}, err
		}
		w = storedWorkgroup(w)
		w.Account, w.Name, w.Created, w.Version = old.Account, old.Name, old.Created, old.Version+1
		if m.swapWorkgroup(of, w) {
			return storedWorkgroup(w), nil
		}
	}
}

func (m *Memory) swapWorkgroup(of workgroup.Resource, w workgroup.Workgroup) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, ok := m.workgroups[of]
	if !ok || now.Version != w.Version-1 {
		return false
	}
	m.workgroups[of] = memoryWorkgroup{w, now.tags}
	return true
}

// DeleteWorkgroup implements workgroup.Store.
func (m *Memory) DeleteWorkgroup(_ context.Context, account, name string) error {
	if err := m.failed("DeleteWorkgroup"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	of := workgroup.Resource{Account: account, Workgroup: name}
	if _, ok := m.workgroups[of]; !ok {
		return workgroup.ErrNotFound
	}
	for _, s := range m.sessions {
		if s.Account == account && s.Workgroup == name && s.State != session.Ended && s.Desired != session.Ended {
			return workgroup.ErrNotEmpty
		}
	}
	delete(m.workgroups, of)
	return nil
}

// Workgroups implements workgroup.Store.
func (m *Memory) Workgroups(_ context.Context, account, after string, limit int) ([]workgroup.Workgroup, error) {
	if err := m.failed("Workgroups"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []workgroup.Workgroup
	for of, w := range m.workgroups {
		if of.Account == account && of.Workgroup > after {
			all = append(all, storedWorkgroup(w.Workgroup))
		}
	}
	slices.SortFunc(all, func(a, b workgroup.Workgroup) int { return strings.Compare(a.Name, b.Name) })
	return first(all, limit), nil
}

// Tags implements workgroup.Store.
func (m *Memory) Tags(_ context.Context, of workgroup.Resource) ([]workgroup.Tag, error) {
	if err := m.failed("Tags"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	tags, _, err := m.tagsLocked(of)
	return slices.Clone(tags), err
}

// tagsLocked returns the tags of a resource and how to replace them.
func (m *Memory) tagsLocked(of workgroup.Resource) ([]workgroup.Tag, func([]workgroup.Tag), error) {
	if of.Session == "" {
		w, ok := m.workgroups[of]
		if !ok {
			return nil, nil, workgroup.ErrNotFound
		}
		return w.tags, func(tags []workgroup.Tag) { w.tags = tags; m.workgroups[of] = w }, nil
	}
	for key, s := range m.sessions {
		if s.Account == of.Account && s.Face == session.Athena && s.ID == of.Session && s.Workgroup == of.Workgroup {
			return s.tags, func(tags []workgroup.Tag) { s.tags = tags; m.sessions[key] = s }, nil
		}
	}
	return nil, nil, workgroup.ErrNotFound
}

// ChangeTags implements workgroup.Store.
func (m *Memory) ChangeTags(ctx context.Context, of workgroup.Resource, change func([]workgroup.Tag) ([]workgroup.Tag, error)) error {
	if err := m.failed("ChangeTags"); err != nil {
		return err
	}
	for {
		old, err := m.Tags(ctx, of)
		if err != nil {
			return err
		}
		tags, err := change(slices.Clone(old))
		if err != nil {
			return err
		}
		if done, err := m.swapTags(of, old, byKey(tags)); done || err != nil {
			return err
		}
	}
}

func (m *Memory) swapTags(of workgroup.Resource, old, tags []workgroup.Tag) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, put, err := m.tagsLocked(of)
	if err != nil || !slices.Equal(now, old) {
		return false, err
	}
	put(tags)
	return true, nil
}

func byKey(tags []workgroup.Tag) []workgroup.Tag {
	return slices.SortedFunc(slices.Values(tags), func(a, b workgroup.Tag) int { return strings.Compare(a.Key, b.Key) })
}

func first[T any](all []T, limit int) []T {
	if limit > 0 && len(all) > limit {
		return all[:limit]
	}
	return all
}

// tokenLocked finds an earlier use of a token.
func (m *Memory) tokenLocked(key memoryTokenKey, hash []byte) (memoryToken, bool, error) {
	t, ok := m.tokens[key]
	if key.token == "" || !ok {
		return t, false, nil
	}
	if !bytes.Equal(t.hash, hash) {
		return t, false, session.ErrTokenUsed
	}
	return t, true, nil
}

// newestFirst orders by time, then by id, both descending.
func newestFirst(at, bt time.Time, a, b string) int {
	return cmp.Or(bt.Compare(at), strings.Compare(b, a))
}

// olderThan reports whether a row comes after a cursor in a newest-first list.
func olderThan(c session.Cursor, at time.Time, id string) bool {
	return c.Time.IsZero() || newestFirst(stored(c.Time), at, c.ID, id) < 0
}
