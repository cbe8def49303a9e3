package resource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/workgroup"
)

// limits are how many of a kind an account has at most.
var limits = map[Kind]int{Connection: 1000, SecurityConfiguration: 250, UsageProfile: 1000}

// leastChunk is how many items are read at once at least, so that a filter
// which wants few is not one query for each.
const leastChunk = 100

// Vault seals documents; access.Authority has it.
type Vault interface {
	// SealDocument returns text sealed for the resource of the ARN.
	SealDocument(arn string, text []byte) ([]byte, error)
	// OpenDocument undoes SealDocument for the same ARN.
	OpenDocument(arn string, sealed []byte) ([]byte, error)
}

// Config is what a Manager stands on. All fields but Profile and Profiles are
// required.
type Config struct {
	Home   ident.Home
	Store  Store
	Access access.Decider
	Vault  Vault

	// Profile is the usage profile of callers that Profiles does not name.
	// Empty: they have none.
	Profile string
	// Profiles are the usage profiles of roles, by the ARN of the role.
	Profiles map[string]string
}

// Manager is what the API asks. It is safe for concurrent use.
type Manager struct{ cfg Config }

// New returns a manager.
func New(cfg Config) *Manager { return &Manager{cfg} }

// Create makes an item of who's account. A name that is taken is a fault of
// kind Exists.
func (m *Manager) Create(ctx context.Context, who access.Caller, action string, kind Kind, name string, doc []byte, tags []workgroup.Tag) (Item, error) {
	if err := m.decide(ctx, who, action, kind, name); err != nil {
		return Item{}, err
	}
	if err := workgroup.CheckTags(tags); err != nil {
		return Item{}, err
	}
	now := time.Now().UTC()
	i := Item{Key: Key{who.Account, kind, name}, Doc: doc, Created: now, Changed: now, ChangedBy: who.ARN}
	kept, err := m.sealed(i)
	if err != nil {
		return Item{}, err
	}
	switch err := m.cfg.Store.CreateItem(ctx, kept, tags, limits[kind]); {
	case errors.Is(err, ErrExists):
		return Item{}, fault.New(fault.Exists, "%s %s already exists.", kind.noun(), name).About(name)
	case errors.Is(err, ErrFull):
		return Item{}, fault.New(fault.TooMany, "An account can have at most %d of this kind: %s.", limits[kind], kind).About(name)
	case err != nil:
		return Item{}, err
	}
	return i, nil
}

// Get returns one item.
func (m *Manager) Get(ctx context.Context, who access.Caller, action string, kind Kind, name string) (Item, error) {
	if err := m.decide(ctx, who, action, kind, name); err != nil {
		return Item{}, err
	}
	return m.find(ctx, Key{who.Account, kind, name})
}

// Update replaces the document of an item.
func (m *Manager) Update(ctx context.Context, who access.Caller, action string, kind Kind, name string, doc []byte) error {
	if err := m.decide(ctx, who, action, kind, name); err != nil {
		return err
	}
	next, err := m.sealed(Item{Key: Key{who.Account, kind, name}, Doc: doc})
	if err != nil {
		return err
	}
	_, err = m.cfg.Store.UpdateItem(ctx, next.Key, func(i *Item) error {
		i.Doc, i.Changed, i.ChangedBy = next.Doc, time.Now().UTC(), who.ARN
		return nil
	})
	return found(next.Key, err)
}

// Delete removes an item. Sessions that were made with it keep what they took.
func (m *Manager) Delete(ctx context.Context, who access.Caller, action string, kind Kind, name string) error {
	if err := m.decide(ctx, who, action, kind, name); err != nil {
		return err
	}
	k := Key{who.Account, kind, name}
	return found(k, m.cfg.Store.DeleteItem(ctx, k))
}

// List returns a page of a kind that keep, if any, wants, in the order of
// their names after the given one, and whether there are more.
func (m *Manager) List(ctx context.Context, who access.Caller, action string, kind Kind, after string, limit int, keep func(Item) (bool, error)) (page []Item, more bool, err error) {
	if err := m.cfg.Access.Decide(ctx, who, action, "*"); err != nil {
		return nil, false, err
	}
	chunk := max(limit+1, leastChunk)
	for {
		some, err := m.cfg.Store.Items(ctx, who.Account, kind, after, chunk)
		if err != nil {
			return nil, false, err
		}
		for _, i := range some {
			after = i.Name
			if i, err = m.opened(i); err != nil {
				return nil, false, err
			}
			wanted := true
			if keep != nil {
				if wanted, err = keep(i); err != nil {
					return nil, false, err
				}
			}
			switch {
			case !wanted:
			case len(page) == limit:
				return page, true, nil
			default:
				page = append(page, i)
			}
		}
		if len(some) < chunk {
			return page, false, nil
		}
	}
}

// Tags returns the tags of an item, in the order of their keys.
func (m *Manager) Tags(ctx context.Context, who access.Caller, kind Kind, name string) ([]workgroup.Tag, error) {
	if err := m.decide(ctx, who, "glue:GetTags", kind, name); err != nil {
		return nil, err
	}
	k := Key{who.Account, kind, name}
	tags, err := m.cfg.Store.ItemTags(ctx, k)
	return tags, found(k, err)
}

// Tag adds tags to an item; a key that is there gets the new value.
func (m *Manager) Tag(ctx context.Context, who access.Caller, kind Kind, name string, tags []workgroup.Tag) error {
	if err := m.decide(ctx, who, "glue:TagResource", kind, name); err != nil {
		return err
	}
	if err := workgroup.CheckTags(tags); err != nil {
		return err
	}
	k := Key{who.Account, kind, name}
	return found(k, m.cfg.Store.ChangeItemTags(ctx, k, func(have []workgroup.Tag) ([]workgroup.Tag, error) {
		merged := workgroup.Merge(have, tags)
		return merged, workgroup.CheckTags(merged)
	}))
}

// Untag removes tags by their keys. Keys that are not there are ignored.
func (m *Manager) Untag(ctx context.Context, who access.Caller, kind Kind, name string, keys []string) error {
	if err := m.decide(ctx, who, "glue:UntagResource", kind, name); err != nil {
		return err
	}
	k := Key{who.Account, kind, name}
	return found(k, m.cfg.Store.ChangeItemTags(ctx, k, func(have []workgroup.Tag) ([]workgroup.Tag, error) {
		return slices.DeleteFunc(slices.Clone(have), func(t workgroup.Tag) bool { return slices.Contains(keys, t.Key) }), nil
	}))
}

// CheckSession refuses connections and a security configuration that are not
// there, without asking who wants to know: the session's own permission says
// that. An empty name of a security configuration is none.
func (m *Manager) CheckSession(ctx context.Context, account string, connections []string, security string) error {
	for _, name := range connections {
		k := Key{account, Connection, name}
		if _, err := m.cfg.Store.Item(ctx, k); err != nil {
			return found(k, err)
		}
	}
	if security == "" {
		return nil
	}
	k := Key{account, SecurityConfiguration, security}
	_, err := m.cfg.Store.Item(ctx, k)
	return found(k, err)
}

func (m *Manager) decide(ctx context.Context, who access.Caller, action string, kind Kind, name string) error {
	return m.cfg.Access.Decide(ctx, who, action, m.cfg.Home.GlueResource(string(kind), name))
}

func (m *Manager) find(ctx context.Context, k Key) (Item, error) {
	i, err := m.cfg.Store.Item(ctx, k)
	if err != nil {
		return i, found(k, err)
	}
	return m.opened(i)
}

func (m *Manager) sealed(i Item) (Item, error) {
	var err error
	i.Doc, err = m.cfg.Vault.SealDocument(m.cfg.Home.GlueResource(string(i.Kind), i.Name), i.Doc)
	return i, err
}

func (m *Manager) opened(i Item) (Item, error) {
	doc, err := m.cfg.Vault.OpenDocument(m.cfg.Home.GlueResource(string(i.Kind), i.Name), i.Doc)
	if err != nil {
		return i, fmt.Errorf("cannot open %s %q: %w", i.Kind, i.Name, err)
	}
	i.Doc = doc
	return i, nil
}

// found turns an item that is not there into Glue's refusal.
func found(k Key, err error) error {
	if errors.Is(err, ErrNotFound) {
		return fault.New(fault.NotFound, "%s %s not found.", k.Kind.noun(), k.Name).About(k.Name)
	}
	return err
}
