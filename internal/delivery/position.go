package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"glaux/internal/session"
)

// positionSuffix ends the names of the files.
const positionSuffix = ".json"

// positions are how far a session's deliveries to S3 have come, in a file of
// the session's own. Safe for concurrent use.
type positions struct {
	path string

	mu   sync.Mutex // guards what follows, and the file
	read bool
	file positionFile
}

// positionFile is the content of the file.
type positionFile struct {
	Version int              `json:"v"`
	Offsets map[string]int64 `json:"offsets,omitempty"` // by stream
	Events  bool             `json:"events,omitempty"`  // the event logs are there
}

func newPositions(dir string, key session.Key) *positions {
	return &positions{path: filepath.Join(dir, string(key)+positionSuffix)}
}

func (p *positions) get() (positionFile, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.file, p.readLocked()
}

func (p *positions) readLocked() error {
	if p.read {
		return nil
	}
	p.file = positionFile{Version: 1, Offsets: map[string]int64{}}
	text, err := os.ReadFile(p.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("cannot read how far a delivery has come: %w", err)
	default:
		// A file that is damaged says nothing: delivery begins anew.
		if json.Unmarshal(text, &p.file) != nil || p.file.Offsets == nil {
			p.file = positionFile{Version: 1, Offsets: map[string]int64{}}
		}
	}
	p.read = true
	return nil
}

// offset is how far a stream has been delivered.
func (p *positions) offset(stream string) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.readLocked()
	return p.file.Offsets[stream], err
}

// update changes the file.
func (p *positions) update(change func(*positionFile)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.readLocked(); err != nil {
		return err
	}
	change(&p.file)
	text, err := json.Marshal(p.file)
	if err != nil {
		return fmt.Errorf("cannot keep how far a delivery has come: %w", err)
	}
	tmp := p.path + ".new"
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return fmt.Errorf("cannot keep how far a delivery has come: %w", err)
	}
	if err := os.Rename(tmp, p.path); err != nil {
		return fmt.Errorf("cannot keep how far a delivery has come: %w", err)
	}
	return nil
}
