package logs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a Store stands on.
type Config struct {
	// Dir holds everything. It is made when missing. One store at a time uses it.
	Dir string
	// ManagedDays is how long events of the service's own groups are kept.
	ManagedDays int
	// MaxBytes bounds the files. Beyond it the oldest events are dropped,
	// whatever group they are in, and a log record says so.
	MaxBytes int64
	Log      *slog.Logger
}

// Store keeps groups, streams and events in files. It is safe for concurrent use.
type Store struct {
	cfg Config
	seq atomic.Int64 // last sequence number that was given out

	scan int64 // bytes that one read goes through before it returns what it has

	mu     sync.RWMutex
	groups map[string]*group // guarded by mu

	disk     atomic.Int64 // bytes of the segments that are known
	pruning  sync.Mutex   // one prune at a time
	dropped  atomic.Int64 // bytes dropped because of MaxBytes
	appended atomic.Int64 // events
}

// group is one group's directory: group.json, and a directory a stream.
type group struct {
	dir  string
	disk *atomic.Int64 // of the store

	mu      sync.RWMutex
	meta    Group              // guarded by mu, like all below
	streams map[string]*stream // nil: not listed yet
	gone    bool

	changed chan struct{} // closed by the next append; nil: nobody waits
}

// groupFile is group.json.
type groupFile struct {
	Name      string
	Created   int64             // milliseconds
	Retention int               `json:",omitempty"`
	Class     string            `json:",omitempty"`
	KMSKey    string            `json:",omitempty"`
	Tags      map[string]string `json:",omitempty"`
	Protected bool              `json:",omitempty"`
}

const (
	groupMeta    = "group.json"
	gonePrefix   = ".gone-" // of directories that are being deleted
	defaultClass = "STANDARD"
)

// Open opens the store below c.Dir. Only the groups are read; the streams of
// one are listed when it is first used, and segments when a stream is.
func Open(c Config) (*Store, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory of logs: %w", err)
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the directory of logs: %w", err)
	}
	s := &Store{cfg: c, scan: scanBytes, groups: make(map[string]*group)}
	for _, e := range entries {
		dir := filepath.Join(c.Dir, e.Name())
		if strings.HasPrefix(e.Name(), gonePrefix) {
			if err := os.RemoveAll(dir); err != nil {
				return nil, fmt.Errorf("cannot finish the deletion of a log group: %w", err)
			}
			continue
		}
		if !e.IsDir() {
			continue
		}
		var f groupFile
		if err := readJSON(filepath.Join(dir, groupMeta), &f); errors.Is(err, fs.ErrNotExist) {
			continue // a creation that was never acknowledged; the next one takes the directory
		} else if err != nil {
			return nil, fmt.Errorf("cannot read a log group: %w", err)
		}
		s.groups[f.Name] = &group{dir: dir, disk: &s.disk, meta: Group{
			Name: f.Name, Created: fromMillis(f.Created), Retention: f.Retention, Class: f.Class, KMSKey: f.KMSKey, Tags: f.Tags, Protected: f.Protected,
		}}
	}
	return s, nil
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// dirOf names the directory of a group or stream.
func dirOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// Append adds events to a stream and makes group and stream when they are
// missing. Events may have any time and come in any order. A mark, if it is
// not empty, is kept with the last of them: Mark returns it once they are
// there, so that a writer can tell after a restart what has arrived. Events
// alone, a mark alone, or both.
//
// When it returns nil, everything can be read and survives a kill. When it
// fails, some of the events may be there, and the mark is not.
func (s *Store) Append(ctx context.Context, groupName, streamName string, events []Event, mark string) error {
	if !ValidGroup(groupName) || !ValidStream(streamName) || len(mark) > maxMark {
		return fmt.Errorf("cannot append to log stream %q of group %q: not names of a group and a stream, or the mark is too long: %w", streamName, groupName, ErrRefused)
	}
	for {
		g, err := s.findGroup(groupName)
		if errors.Is(err, ErrNoGroup) {
			err = s.CreateGroup(Group{Name: groupName})
			if err == nil || errors.Is(err, ErrGroupExists) {
				continue
			}
		}
		if err != nil {
			return err
		}
		st, err := g.stream(streamName)
		if errors.Is(err, ErrNoStream) {
			err = s.CreateStream(groupName, streamName)
			if err == nil || errors.Is(err, ErrStreamExists) || errors.Is(err, ErrNoGroup) {
				continue
			}
		}
		if err == nil {
			err = s.write(ctx, g, st, Fit(events), mark)
		}
		if errors.Is(err, ErrNoStream) || errors.Is(err, ErrNoGroup) {
			continue // deleted meanwhile: made anew
		}
		return err
	}
}

// Mark returns the mark that was appended to the stream last; empty when there
// is none.
func (s *Store) Mark(_ context.Context, groupName, streamName string) (string, error) {
	g, err := s.findGroup(groupName)
	if errors.Is(err, ErrNoGroup) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	st, err := g.stream(streamName)
	if errors.Is(err, ErrNoStream) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.openLocked(); err != nil {
		return "", err
	}
	return st.mark, nil
}

// Put adds events to a stream that exists.
func (s *Store) Put(ctx context.Context, groupName, streamName string, events []Event) error {
	g, err := s.findGroup(groupName)
	if err != nil {
		return err
	}
	st, err := g.stream(streamName)
	if err != nil {
		return err
	}
	return s.write(ctx, g, st, events, "")
}

// write appends in records of one batch each and wakes who waits.
func (s *Store) write(ctx context.Context, g *group, st *stream, events []Event, mark string) error {
	for first := true; first || len(events) > 0; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch := events[:batchLen(events)]
		events = events[len(batch):]
		last := ""
		if len(events) == 0 {
			last = mark
		}
		if err := s.writeBatch(st, batch, last); err != nil {
			return err
		}
	}
	g.wake()
	s.prune()
	return nil
}

// batchLen is how many of the events fit into one batch.
func batchLen(events []Event) int {
	size := 0
	for i := range events {
		size += len(events[i].Message) + EventOverhead
		if i == MaxBatch || i > 0 && size > MaxBatchBytes {
			return i
		}
	}
	return len(events)
}

// writeBatch appends one record.
func (s *Store) writeBatch(st *stream, events []Event, mark string) error {
	if len(events) == 0 && mark == "" {
		return nil
	}
	for i := range events {
		if ms := events[i].Time.UnixMilli(); ms < 0 || ms > latestTime {
			events = slices.Clone(events) // it is the caller's
			for i := range events {
				events[i].Time = fromMillis(min(max(events[i].Time.UnixMilli(), 0), latestTime))
			}
			break
		}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.gone {
		return ErrNoStream
	}
	if err := st.openLocked(); err != nil {
		return err
	}
	now := time.Now()
	encoded, rec := encodeRecord(nil, s.numbers(len(events), now, st.lastSeq), now.UnixMilli(), mark, events)
	if err := st.appendLocked(encoded, rec); err != nil {
		return err
	}
	s.appended.Add(int64(len(events)))
	return nil
}

// numbers gives out n sequence numbers after the one given, and returns the
// first. They are nanoseconds since 1970 or later, so that they grow across
// restarts without being kept anywhere.
func (s *Store) numbers(n int, now time.Time, after int64) int64 {
	for {
		have := s.seq.Load()
		first := max(have, after, now.UnixNano()) + 1
		if s.seq.CompareAndSwap(have, first+int64(n)) {
			return first
		}
	}
}

// Watch returns a channel that is closed once something is appended to any
// stream of the group, or the group is deleted. A reader takes the channel
// first, reads, and then waits.
func (s *Store) Watch(groupName string) (<-chan struct{}, error) {
	g, err := s.findGroup(groupName)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		return nil, ErrNoGroup
	}
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	return g.changed, nil
}

// wake ends the waiting of whoever watches the group.
func (g *group) wake() {
	g.mu.RLock()
	waited := g.changed != nil
	g.mu.RUnlock()
	if !waited {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// Stats are figures about the store, for metrics.
type Stats struct {
	Groups   int
	Disk     int64 // bytes of the files that are known; complete soon after Run began
	Appended int64 // events since the start
	Dropped  int64 // bytes dropped since the start because of the bound on the disk
}

// Stats returns figures about the store.
func (s *Store) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Stats{Groups: len(s.groups), Disk: s.disk.Load(), Appended: s.appended.Load(), Dropped: s.dropped.Load()}
}
