package history

import (
	"bytes"
	"sync"
)

// lineMax bounds an unfinished line, bytes.
const lineMax = 2 << 10

// lines cuts what the process prints into lines for the log, and remembers the
// last one.
type lines struct {
	log func(line string)

	mu   sync.Mutex // guards what follows
	rest []byte     // an unfinished line
	tail string
}

// Write takes what the process prints.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, b...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found && len(l.rest) < lineMax {
			return len(b), nil
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			l.tail = string(line[:min(len(line), lineMax)])
			l.log(l.tail)
		}
		l.rest = rest
	}
}

// last returns the last line printed.
func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tail
}
