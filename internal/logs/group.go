package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"glaux/internal/ident"
)

// findGroup returns a group by its name, or ErrNoGroup.
func (s *Store) findGroup(name string) (*group, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g := s.groups[name]
	if g == nil {
		return nil, ErrNoGroup
	}
	return g, nil
}

// CreateGroup makes a group, or fails with ErrGroupExists. Its creation time is now.
func (s *Store) CreateGroup(meta Group) error {
	meta.Created, meta.Class = time.Now().Truncate(time.Millisecond).UTC(), cmp.Or(meta.Class, defaultClass)
	meta.Tags = maps.Clone(meta.Tags)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups[meta.Name] != nil {
		return ErrGroupExists
	}
	g := &group{dir: filepath.Join(s.cfg.Dir, dirOf(meta.Name)), disk: &s.disk, meta: meta, streams: map[string]*stream{}}
	if err := os.Mkdir(g.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot make log group %q: %w", meta.Name, err)
	}
	if err := g.save(); err != nil {
		return err
	}
	s.groups[meta.Name] = g
	return nil
}

// EnsureGroup makes a group unless it is there.
func (s *Store) EnsureGroup(_ context.Context, name string) error {
	if _, err := s.findGroup(name); err == nil {
		return nil
	}
	if !ValidGroup(name) {
		return fmt.Errorf("cannot make log group %q: not the name of a group: %w", name, ErrRefused)
	}
	err := s.CreateGroup(Group{Name: name})
	if errors.Is(err, ErrGroupExists) {
		return nil
	}
	return err
}

// save writes group.json. The group is new or locked.
func (g *group) save() error {
	m := &g.meta
	err := writeJSON(filepath.Join(g.dir, groupMeta), groupFile{
		Name: m.Name, Created: m.Created.UnixMilli(), Retention: m.Retention, Class: m.Class, KMSKey: m.KMSKey, Tags: m.Tags, Protected: m.Protected,
	})
	if err != nil {
		return fmt.Errorf("cannot keep log group %q: %w", m.Name, err)
	}
	return nil
}

// UpdateGroup changes a group's metadata. An error of change leaves it as it was.
func (s *Store) UpdateGroup(name string, change func(*Group) error) error {
	g, err := s.findGroup(name)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		return ErrNoGroup
	}
	old := g.meta
	g.meta.Tags = maps.Clone(old.Tags)
	if err := change(&g.meta); err != nil {
		g.meta = old
		return err
	}
	g.meta.Name, g.meta.Created, g.meta.Class = old.Name, old.Created, old.Class
	if err := g.save(); err != nil {
		g.meta = old
		return err
	}
	return nil
}

// DeleteGroup removes a group with its streams and events.
func (s *Store) DeleteGroup(name string) error {
	g, err := s.findGroup(name)
	if err != nil {
		return err
	}
	return s.removeGroup(g, func() error {
		if g.meta.Protected {
			return ErrProtected
		}
		return nil
	})
}

// removeGroup removes a group if allowed, which is asked with all locks held,
// does not object.
func (s *Store) removeGroup(g *group, allowed func() error) error {
	away, err := s.takeAway(g, allowed)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(away); err != nil {
		// It is deleted; the next start tries the rest again.
		s.cfg.Log.Warn("cannot remove the files of a deleted log group", "group", g.meta.Name, "cause", err)
	}
	return nil
}

// takeAway moves a group's directory to where it is no group any more.
func (s *Store) takeAway(g *group, allowed func() error) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.listLocked(); err != nil {
		return "", err
	}
	if err := allowed(); err != nil {
		return "", err
	}
	away := filepath.Join(s.cfg.Dir, gonePrefix+ident.NewID())
	if err := os.Rename(g.dir, away); err != nil {
		return "", fmt.Errorf("cannot delete log group %q: %w", g.meta.Name, err)
	}
	for _, st := range g.streams {
		st.forget()
	}
	g.gone = true
	delete(s.groups, g.meta.Name)
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
	return away, nil
}

// forget marks a stream as deleted.
func (s *stream) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		s.gone = true
		s.disk.Add(-s.sizeLocked())
	}
}

// forgetEmpty marks a stream as deleted if it has no segment, and reports
// whether it has none.
func (s *stream) forgetEmpty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = s.gone || len(s.segments) == 0
	return s.gone
}

func (s *stream) sizeLocked() int64 {
	var n int64
	for i := range s.segments {
		n += s.segments[i].size
	}
	return n
}

// Group returns a group's metadata, or ErrNoGroup.
func (s *Store) Group(name string) (Group, error) {
	g, err := s.findGroup(name)
	if err != nil {
		return Group{}, err
	}
	return s.describe(g)
}

// meta returns a group's metadata without its size, or ErrNoGroup.
func (s *Store) meta(name string) (Group, error) {
	g, err := s.findGroup(name)
	if err != nil {
		return Group{}, err
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.meta, nil
}

// Tags returns a group's tags, or ErrNoGroup.
func (s *Store) Tags(name string) (map[string]string, error) {
	g, err := s.meta(name)
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	maps.Copy(tags, g.Tags)
	return tags, nil
}

// hasStreams fails with ErrNoGroup or ErrNoStream unless all streams are there.
func (s *Store) hasStreams(name string, streams []string) error {
	g, err := s.findGroup(name)
	if err != nil {
		return err
	}
	for _, st := range streams {
		if _, err := g.stream(st); err != nil {
			return err
		}
	}
	return nil
}

// describe returns a group's metadata as callers see it.
func (s *Store) describe(g *group) (Group, error) {
	streams, meta, err := s.list(g)
	if err != nil {
		return Group{}, err
	}
	meta.Tags = maps.Clone(meta.Tags)
	if meta.Tags == nil {
		meta.Tags = map[string]string{}
	}
	from := meta.expired(time.Now())
	for _, st := range streams {
		all, err := st.spans()
		if err != nil {
			return Group{}, err
		}
		for i := range all {
			if all[i].max >= from {
				meta.Bytes += all[i].bytes
			}
		}
	}
	return meta, nil
}

// expired is the earliest time in milliseconds that events may have at now.
func (g *Group) expired(now time.Time) int64 {
	if g.Retention <= 0 {
		return 0
	}
	return now.Add(-time.Duration(g.Retention) * day).UnixMilli()
}

// Groups returns at most limit groups after a name that keep accepts, by name,
// and whether there are more.
func (s *Store) Groups(after string, limit int, keep func(*Group) bool) ([]Group, bool, error) {
	s.mu.RLock()
	names := slices.Sorted(maps.Keys(s.groups))
	s.mu.RUnlock()
	from, _ := slices.BinarySearch(names, after)
	var all []Group
	for _, name := range names[from:] {
		if name == after {
			continue
		}
		g, err := s.findGroup(name)
		if err != nil {
			continue // deleted meanwhile
		}
		g.mu.RLock()
		meta := g.meta
		g.mu.RUnlock()
		if !keep(&meta) {
			continue
		}
		if len(all) == limit {
			return all, true, nil
		}
		one, err := s.describe(g)
		if errors.Is(err, ErrNoGroup) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		all = append(all, one)
	}
	return all, false, nil
}

// listLocked reads which streams there are. ErrNoGroup: the group was deleted.
func (g *group) listLocked() error {
	switch {
	case g.gone:
		return ErrNoGroup
	case g.streams != nil:
		return nil
	}
	entries, err := os.ReadDir(g.dir)
	if err != nil {
		return fmt.Errorf("cannot read log group %q: %w", g.meta.Name, err)
	}
	streams := make(map[string]*stream)
	for _, e := range entries {
		dir := filepath.Join(g.dir, e.Name())
		if !e.IsDir() {
			if strings.HasPrefix(e.Name(), newPrefix) { // a kill left it
				os.Remove(dir)
			}
			continue
		}
		var f streamFile
		err := readJSON(filepath.Join(dir, streamMeta), &f)
		if errors.Is(err, fs.ErrNotExist) || strings.HasPrefix(e.Name(), gonePrefix) {
			// A creation that was never acknowledged, or a deletion that was.
			if err := os.RemoveAll(dir); err != nil {
				return fmt.Errorf("cannot finish the deletion of a log stream: %w", err)
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot read a log stream: %w", err)
		}
		streams[f.Name] = &stream{name: f.Name, id: e.Name(), dir: dir, created: fromMillis(f.Created), disk: g.disk}
	}
	g.streams = streams
	return nil
}

// list returns a group's streams in the order of their names, and its metadata.
func (s *Store) list(g *group) ([]*stream, Group, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.listLocked(); err != nil {
		return nil, Group{}, err
	}
	all := slices.SortedFunc(maps.Values(g.streams), func(a, b *stream) int { return strings.Compare(a.name, b.name) })
	meta := g.meta
	if meta.Managed() {
		meta.Retention = s.cfg.ManagedDays
	}
	return all, meta, nil
}

// stream returns a stream by its name, or ErrNoStream.
func (g *group) stream(name string) (*stream, error) {
	g.mu.RLock()
	known, gone, st := g.streams != nil, g.gone, g.streams[name]
	g.mu.RUnlock()
	if !known {
		g.mu.Lock()
		err := g.listLocked()
		st = g.streams[name]
		g.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
	switch {
	case gone:
		return nil, ErrNoGroup
	case st == nil:
		return nil, ErrNoStream
	}
	return st, nil
}

// CreateStream makes a stream, or fails with ErrNoGroup or ErrStreamExists.
func (s *Store) CreateStream(groupName, name string) error {
	g, err := s.findGroup(groupName)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.listLocked(); err != nil {
		return err
	}
	if g.streams[name] != nil {
		return ErrStreamExists
	}
	id := dirOf(name)
	st := &stream{name: name, id: id, dir: filepath.Join(g.dir, id), created: time.Now().Truncate(time.Millisecond).UTC(), disk: g.disk, opened: true, blocks: map[int64][]block{}, next: 1}
	if err := os.Mkdir(st.dir, 0o700); err != nil {
		return fmt.Errorf("cannot make log stream %q: %w", name, err)
	}
	err = writeJSON(filepath.Join(st.dir, streamMeta), streamFile{Name: name, Created: st.created.UnixMilli()})
	if err != nil {
		os.RemoveAll(st.dir)
		return fmt.Errorf("cannot make log stream %q: %w", name, err)
	}
	g.streams[name] = st
	return nil
}

// DeleteStream removes a stream and its events.
func (s *Store) DeleteStream(groupName, name string) error {
	g, err := s.findGroup(groupName)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.listLocked(); err != nil {
		return err
	}
	st := g.streams[name]
	if st == nil {
		return ErrNoStream
	}
	return s.removeStreamLocked(g, st)
}

// removeStreamLocked removes a stream of a locked group.
func (s *Store) removeStreamLocked(g *group, st *stream) error {
	away := filepath.Join(g.dir, gonePrefix+ident.NewID())
	if err := os.Rename(st.dir, away); err != nil {
		return fmt.Errorf("cannot delete log stream %q: %w", st.name, err)
	}
	st.forget()
	delete(g.streams, st.name)
	if err := os.RemoveAll(away); err != nil {
		s.cfg.Log.Warn("cannot remove the files of a deleted log stream", "group", g.meta.Name, "stream", st.name, "cause", err)
	}
	return nil
}

// Streams returns the metadata of a group's streams in the order of their names.
func (s *Store) Streams(groupName string) ([]Stream, error) {
	g, err := s.findGroup(groupName)
	if err != nil {
		return nil, err
	}
	streams, meta, err := s.list(g)
	if err != nil {
		return nil, err
	}
	from := meta.expired(time.Now())
	all := make([]Stream, 0, len(streams))
	for _, st := range streams {
		one, err := st.info(from)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}
