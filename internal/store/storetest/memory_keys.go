package storetest

import (
	"context"
	"slices"

	"glaux/internal/access"
)

// Keys implements access.KeyStore.
func (m *Memory) Keys(context.Context) ([]access.SealedKey, error) {
	if err := m.failed("Keys"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []access.SealedKey
	for _, k := range m.keys {
		all = append(all, storedKey(k))
	}
	return all, nil
}

// PutKey implements access.KeyStore.
func (m *Memory) PutKey(_ context.Context, k access.SealedKey) error {
	if err := m.failed("PutKey"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.ContainsFunc(m.keys, func(have access.SealedKey) bool { return have.ID == k.ID }) {
		m.keys = append(m.keys, storedKey(k))
	}
	return nil
}

func storedKey(k access.SealedKey) access.SealedKey {
	k.Created, k.Sealed = stored(k.Created), slices.Clone(k.Sealed)
	return k
}
