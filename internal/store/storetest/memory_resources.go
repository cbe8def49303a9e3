package storetest

import (
	"context"
	"slices"
	"strings"

	"glaux/internal/resource"
	"glaux/internal/workgroup"
)

type memoryItem struct {
	resource.Item
	tags []workgroup.Tag
}

func storedItem(i resource.Item) resource.Item {
	i.Doc, i.Created, i.Changed = slices.Clone(i.Doc), stored(i.Created), stored(i.Changed)
	return i
}

// CreateItem implements resource.Store.
func (m *Memory) CreateItem(_ context.Context, i resource.Item, tags []workgroup.Tag, limit int) error {
	if err := m.failed("CreateItem"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.items[i.Key]; ok {
		return resource.ErrExists
	}
	count := 0
	for k := range m.items {
		if k.Account == i.Account && k.Kind == i.Kind {
			count++
		}
	}
	if limit > 0 && count >= limit {
		return resource.ErrFull
	}
	i = storedItem(i)
	i.Version = 1
	m.items[i.Key] = memoryItem{i, byKey(tags)}
	return nil
}

// Item implements resource.Store.
func (m *Memory) Item(_ context.Context, k resource.Key) (resource.Item, error) {
	if err := m.failed("Item"); err != nil {
		return resource.Item{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.items[k]
	if !ok {
		return resource.Item{}, resource.ErrNotFound
	}
	return storedItem(i.Item), nil
}

// UpdateItem implements resource.Store.
func (m *Memory) UpdateItem(ctx context.Context, k resource.Key, change func(*resource.Item) error) (resource.Item, error) {
	if err := m.failed("UpdateItem"); err != nil {
		return resource.Item{}, err
	}
	for {
		old, err := m.Item(ctx, k)
		if err != nil {
			return resource.Item{}, err
		}
		i := storedItem(old)
		if err := change(&i); err != nil {
			return resource.Item{}, err
		}
		i = storedItem(i)
		i.Key, i.Created, i.Version = old.Key, old.Created, old.Version+1
		if m.swapItem(i) {
			return storedItem(i), nil
		}
	}
}

func (m *Memory) swapItem(i resource.Item) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, ok := m.items[i.Key]
	if !ok || now.Version != i.Version-1 {
		return false
	}
	m.items[i.Key] = memoryItem{i, now.tags}
	return true
}

// DeleteItem implements resource.Store.
func (m *Memory) DeleteItem(_ context.Context, k resource.Key) error {
	if err := m.failed("DeleteItem"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.items[k]; !ok {
		return resource.ErrNotFound
	}
	delete(m.items, k)
	return nil
}

// Items implements resource.Store.
func (m *Memory) Items(_ context.Context, account string, kind resource.Kind, after string, limit int) ([]resource.Item, error) {
	if err := m.failed("Items"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []resource.Item
	for k, i := range m.items {
		if k.Account == account && k.Kind == kind && k.Name > after {
			all = append(all, storedItem(i.Item))
		}
	}
	slices.SortFunc(all, func(a, b resource.Item) int { return strings.Compare(a.Name, b.Name) })
	return all[:min(limit, len(all))], nil
}

// ItemTags implements resource.Store.
func (m *Memory) ItemTags(_ context.Context, k resource.Key) ([]workgroup.Tag, error) {
	if err := m.failed("ItemTags"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.items[k]
	if !ok {
		return nil, resource.ErrNotFound
	}
	return byKey(i.tags), nil
}

// ChangeItemTags implements resource.Store.
func (m *Memory) ChangeItemTags(ctx context.Context, k resource.Key, change func([]workgroup.Tag) ([]workgroup.Tag, error)) error {
	if err := m.failed("ChangeItemTags"); err != nil {
		return err
	}
	for {
		old, err := m.ItemTags(ctx, k)
		if err != nil {
			return err
		}
		next, err := change(slices.Clone(old))
		if err != nil {
			return err
		}
		if m.swapItemTags(k, old, byKey(next)) {
			return nil
		}
	}
}

func (m *Memory) swapItemTags(k resource.Key, old, next []workgroup.Tag) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.items[k]
	if !ok || !slices.Equal(i.tags, old) {
		return false
	}
	i.tags = next
	m.items[k] = i
	return true
}
