package workgroup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/ident"
)

// The states of a workgroup.
const (
	Enabled  = "ENABLED"
	Disabled = "DISABLED"
)

const (
	// Primary is the workgroup that always exists.
	Primary = "primary"

	// MaxWorkgroups is Athena's quota of workgroups per account and region.
	MaxWorkgroups = 1000

	// recursiveTries bounds a recursive delete: somebody may start a session
	// between asking all to end and deleting.
	recursiveTries = 8
)

// Manager creates, reads, changes and deletes workgroups and tags. Every
// operation takes its caller and asks whether the caller may. Errors are
// faults with AWS's texts; anything else means the store cannot be used. It is
// safe for concurrent use.
type Manager struct {
	store    Store
	access   access.Decider
	home     ident.Home
	pages    *ident.Pages
	sessions SessionEnder
}

// SessionEnder is asked to end what runs in a workgroup before it is deleted.
type SessionEnder interface {
	// EndWorkgroup asks every live session of the workgroup to end. It returns
	// once that is written down, not once they are gone.
	EndWorkgroup(ctx context.Context, account, workgroup string) error
}

// New returns a manager over the store, which holds the defaults already.
func New(store Store, decider access.Decider, home ident.Home, pages *ident.Pages) *Manager {
	return &Manager{store: store, access: decider, home: home, pages: pages}
}

// EndSessionsWith names who ends the sessions of a workgroup that is deleted
// recursively. It is called once, before the manager is used: sessions know
// workgroups, so this cannot be an argument of New.
func (m *Manager) EndSessionsWith(e SessionEnder) { m.sessions = e }

// Creation is a request to create a workgroup.
type Creation struct {
	Name        string
	Description string
	Config      Config
	Tags        []Tag // nil: none given; an empty list is refused
}

// Create creates a workgroup. Of several calls with one name, one wins. Who
// gives it a role must be allowed to pass that: whoever may start a session in
// the workgroup is the role then.
func (m *Manager) Create(ctx context.Context, who access.Caller, in Creation) error {
	if err := m.decide(ctx, who, "athena:CreateWorkGroup", in.Name); err != nil {
		return err
	}
	if in.Name == Primary {
		return fault.Invalidf("WorkGroup is already created")
	}
	if in.Tags != nil && len(in.Tags) == 0 {
		return fault.Invalidf("Tags provided upon WorkGroup creation must not be empty")
	}
	if err := CheckTags(in.Tags); err != nil {
		return err
	}
	if err := access.MayPass(ctx, m.access, m.home, who, in.Config.ExecutionRole); err != nil {
		return err
	}
	w := Workgroup{Account: who.Account, Name: in.Name, Description: in.Description, State: Enabled, Config: in.Config, Created: time.Now()}
	w.Config.normalize()
	if err := w.Config.check(); err != nil {
		return err
	}
	switch err := m.store.CreateWorkgroup(ctx, w, in.Tags, MaxWorkgroups); {
	case errors.Is(err, ErrExists):
		return fault.Invalidf("WorkGroup is already created")
	case errors.Is(err, ErrFull):
		return fault.Invalidf("Maximum number of workgroups (%d) reached", MaxWorkgroups)
	default:
		return err
	}
}

// Get returns one workgroup.
func (m *Manager) Get(ctx context.Context, who access.Caller, name string) (Workgroup, error) {
	if err := m.decide(ctx, who, "athena:GetWorkGroup", name); err != nil {
		return Workgroup{}, err
	}
	return m.Find(ctx, who.Account, name)
}

// Find returns one workgroup without asking who wants it: for callers inside
// the server that have asked for their own action.
func (m *Manager) Find(ctx context.Context, account, name string) (Workgroup, error) {
	w, err := m.store.Workgroup(ctx, account, name)
	return w, found(err)
}

// found turns a missing workgroup into Athena's refusal.
func found(err error) error {
	if errors.Is(err, ErrNotFound) {
		return fault.Invalidf("WorkGroup is not found.")
	}
	return err
}

// List returns a page of workgroups in the order of their names, and the token
// of the next page; an empty token means there is none.
func (m *Manager) List(ctx context.Context, who access.Caller, p Page) ([]Workgroup, string, error) {
	if err := m.access.Decide(ctx, who, "athena:ListWorkGroups", "*"); err != nil {
		return nil, "", err
	}
	scope := ident.Scope("ListWorkGroups", who.Account, who.UserID)
	after, err := m.open(scope, p.Token)
	if err != nil {
		return nil, "", err
	}
	size := p.size(50)
	all, err := m.store.Workgroups(ctx, who.Account, after, size+1)
	if err != nil || len(all) <= size {
		return all, "", err
	}
	return all[:size], m.pages.Seal(scope, all[size-1].Name), nil
}

// Update changes a workgroup. It affects only sessions that start later. A
// role is passed as Create says, also one that the workgroup has already.
func (m *Manager) Update(ctx context.Context, who access.Caller, name string, u Update) error {
	if err := m.decide(ctx, who, "athena:UpdateWorkGroup", name); err != nil {
		return err
	}
	if u.Config != nil {
		if err := access.MayPass(ctx, m.access, m.home, who, u.Config.ExecutionRole); err != nil {
			return err
		}
	}
	_, err := m.store.UpdateWorkgroup(ctx, who.Account, name, func(w *Workgroup) error { return u.apply(w) })
	return found(err)
}

// Delete deletes a workgroup. One with live sessions is refused unless
// recursive, which asks them to end first.
func (m *Manager) Delete(ctx context.Context, who access.Caller, name string, recursive bool) error {
	if err := m.decide(ctx, who, "athena:DeleteWorkGroup", name); err != nil {
		return err
	}
	if name == Primary {
		return fault.Invalidf("The primary workgroup cannot be deleted.")
	}
	err := m.store.DeleteWorkgroup(ctx, who.Account, name)
	for range recursiveTries {
		if !errors.Is(err, ErrNotEmpty) || !recursive || m.sessions == nil {
			break
		}
		if err := m.sessions.EndWorkgroup(ctx, who.Account, name); err != nil {
			return fmt.Errorf("cannot end the sessions of workgroup %q: %w", name, err)
		}
		err = m.store.DeleteWorkgroup(ctx, who.Account, name)
	}
	if errors.Is(err, ErrNotEmpty) {
		return fault.Invalidf("WorkGroup %s is not empty", name)
	}
	return found(err)
}

// ListEngineVersions returns a page of the engine versions that a workgroup
// can select, and the token of the next page; an empty token means there is none.
func (m *Manager) ListEngineVersions(ctx context.Context, who access.Caller, p Page) ([]EngineVersion, string, error) {
	if err := m.access.Decide(ctx, who, "athena:ListEngineVersions", "*"); err != nil {
		return nil, "", err
	}
	scope := ident.Scope("ListEngineVersions", who.Account, who.UserID)
	after, err := m.open(scope, p.Token)
	if err != nil {
		return nil, "", err
	}
	all := EngineVersions()
	all = all[slices.IndexFunc(all, func(v EngineVersion) bool { return v.Selected == after })+1:]
	size := p.size(10)
	if len(all) <= size {
		return all, "", nil
	}
	return all[:size], m.pages.Seal(scope, all[size-1].Selected), nil
}

// decide asks whether who may do action on the workgroup.
func (m *Manager) decide(ctx context.Context, who access.Caller, action, name string) error {
	return m.access.Decide(ctx, who, action, m.home.Workgroup(name))
}

// Page says which part of a list is wanted.
type Page struct {
	Size  int    // at most so many; zero: the operation's default
	Token string // of the page before; empty: from the beginning
}

func (p Page) size(otherwise int) int {
	if p.Size > 0 {
		return p.Size
	}
	return otherwise
}

// open returns the cursor of a token, empty for no token.
func (m *Manager) open(scope, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	cursor, err := m.pages.Open(scope, token)
	if err != nil {
		return "", fault.Invalidf("The nextPageToken is malformed: %s", token).Because(err)
	}
	return cursor, nil
}
