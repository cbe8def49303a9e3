package store

import (
	"maps"
	"slices"
	"sync"

	"glaux/internal/session"
	"glaux/internal/workgroup"
)

// cacheRows is how many rows a cache keeps before it starts anew.
const cacheRows = 4096

// cache keeps rows that were read. It is right because the data directory has
// one server, and because every write forgets its row after it committed and
// before it returns: until then readers see the row as it was, afterwards as
// it is. A row that was read while anything was written is not kept.
//
// A point read through database/sql costs some 20 µs of processor time on the
// machine of BenchmarkStore, a hit below one: GetWorkGroup and GetSession are
// asked for by every poll of every client.
type cache[K comparable, V any] struct {
	clone func(V) V // a copy that shares nothing

	mu     sync.RWMutex // guards what is below
	rows   map[K]V
	writes uint64 // so many rows were written
}

// get returns the row of the key, reading it with load when it is not kept.
func (c *cache[K, V]) get(key K, load func() (V, error)) (V, error) {
	c.mu.RLock()
	v, ok := c.rows[key]
	before := c.writes
	c.mu.RUnlock()
	if ok {
		return c.clone(v), nil
	}
	v, err := load()
	if err != nil {
		return v, err
	}
	kept := c.clone(v)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writes == before {
		if len(c.rows) >= cacheRows || c.rows == nil {
			c.rows = make(map[K]V)
		}
		c.rows[key] = kept
	}
	return v, nil
}

// forget is called after every attempt to write the row, also after one that
// failed: it may have been committed nevertheless.
func (c *cache[K, V]) forget(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.rows, key)
	c.writes++
}

// workgroupKey names a workgroup's row.
type workgroupKey struct{ account, name string }

func cloneWorkgroup(w workgroup.Workgroup) workgroup.Workgroup {
	w.Config = w.Config.Clone()
	return w
}

func cloneSession(s session.Session) session.Session {
	s.Config = s.Config.Clone()
	s.Properties = maps.Clone(s.Properties)
	s.Monitoring = s.Monitoring.Clone()
	if s.Glue != nil {
		g := *s.Glue
		g.Arguments, g.Connections = maps.Clone(g.Arguments), slices.Clone(g.Connections)
		s.Glue = &g
	}
	s.Executors = slices.Clone(s.Executors)
	s.Handle = slices.Clone(s.Handle)
	return s
}
