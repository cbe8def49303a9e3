package connect

import (
	"net"
	"runtime"
	"sync"
)

// outboxSize is how much of what is written to a client may wait for more, bytes.
const outboxSize = 128 << 10

// outbox gathers what is written to a connection in quick succession: a system
// call for each frame of a long result costs more than its encryption.
type outbox struct {
	to net.Conn

	mu     sync.Mutex // guards what follows
	held   int        // who has said that more follows
	wait   []byte     // written, and not sent yet
	late   bool       // runLate is under way
	failed error      // of what was sent
}

// hold lets what is written wait for more, until release.
func (o *outbox) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held++
}

// release sends what waits. An error is the next write's.
func (o *outbox) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held--
	o.sendLocked()
}

func (o *outbox) write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held == 0 && len(o.wait) == 0 && o.failed == nil {
		return o.to.Write(p)
	}
	o.wait = append(o.wait, p...)
	switch {
	case len(o.wait) >= outboxSize:
		o.sendLocked()
	case !o.late:
		o.late = true
		go o.runLate()
	}
	if o.failed != nil {
		return 0, o.failed
	}
	return len(p), nil
}

// runLate sends what waits once nobody has anything else to do: whoever holds
// may wait for the client to make room, which first has to see what there is.
func (o *outbox) runLate() {
	runtime.Gosched()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.late = false
	o.sendLocked()
}

func (o *outbox) sendLocked() {
	if len(o.wait) == 0 {
		return
	}
	if o.failed == nil {
		_, o.failed = o.to.Write(o.wait)
	}
	o.wait = o.wait[:0]
}
