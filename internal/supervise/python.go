package supervise

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"glaux/internal/shim"
)

// frame is one message to the runner or the JVM.
type frame map[string]any

// maxRunnerFrame is the longest frame taken from the runner; a longer one is
// read over and counts as a display that was dropped.
const maxRunnerFrame = 64 << 20

// python is the interpreter that runs cells.
type python struct {
	child    *child
	control  *os.File // frames both ways
	out, err *pump
	logs     [2]*journalWriter
	queue    chan []byte // frames to send, so that nobody waits for a runner that does not read

	mu     sync.Mutex // guards what follows
	pings  int64      // sent
	owed   bool       // the last one is not answered yet
	missed int        // how many times another was due meanwhile
	closed bool
}

// process returns the child; nil for one that was not started.
func (p *python) process() *child {
	if p == nil {
		return nil
	}
	return p.child
}

func startPython(s *Supervisor) (*python, error) {
	uid := owner(s.spec)
	p := &python{queue: make(chan []byte, 64)}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	theirs := []*os.File{null}
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	var ours []*os.File
	for range 2 {
		our, their, err := pipe(uid)
		if err != nil {
			return nil, err
		}
		ours, theirs = append(ours, our), append(theirs, their)
	}
	control, their, err := socketPair()
	if err != nil {
		return nil, err
	}
	theirs = append(theirs, their)
	p.logs = s.logsOf(shim.FromPython)
	p.out, p.err = &pump{from: ours[0], log: p.logs[0]}, &pump{from: ours[1], log: p.logs[1]}
	p.control = control
	p.child, err = spawn(s, "python", s.spec.Python, theirs)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// send queues a frame. It reports false when the runner has not read for long.
func (p *python) send(v frame) bool {
	body, err := json.Marshal(v)
	if err != nil {
		return false
	}
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	select {
	case p.queue <- b:
		return true
	default:
		return false
	}
}

// write sends what is queued until the queue is closed.
func (p *python) write() {
	for b := range p.queue {
		if _, err := p.control.Write(b); err != nil {
			for range p.queue { // nobody reads any more
			}
			return
		}
	}
}

// ping asks for a sign of life unless one is owed, and returns for how many
// calls one is. It counts calls and not time: a machine that stood still, as
// one does whose lid is closed, has kept the interpreter from answering too.
func (p *python) ping() int {
	p.mu.Lock()
	if p.owed {
		defer p.mu.Unlock()
		p.missed++
		return p.missed
	}
	p.pings++
	n := p.pings
	p.owed, p.missed = true, 0 // before it is sent, for the answer may be here before send returns
	p.mu.Unlock()
	if !p.send(frame{"op": "ping", "n": n}) {
		p.pong()
	}
	return 0
}

func (p *python) pong() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owed, p.missed = false, 0
}

// heard begins the wait for a pong that is owed anew: there was another sign of life.
func (p *python) heard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.missed = 0
}

// close ends the readers of what somebody may still hold open.
func (p *python) close() {
	p.out.sync()
	p.err.sync()
	p.out.stop()
	p.err.stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		close(p.queue)
		p.control.Close()
	}
}

// servePython takes what the interpreter writes, until it is gone.
func (s *Supervisor) servePython(p *python) {
	var wg sync.WaitGroup
	wg.Go(p.out.run)
	wg.Go(p.err.run)
	wg.Go(p.write)
	heard := make(chan struct{})
	wg.Go(func() {
		defer close(heard)
		r := bufio.NewReaderSize(p.control, 64<<10)
		for {
			e, err := readEvent(r)
			if err != nil {
				return
			}
			s.fromPython(p, e)
		}
	})
	<-p.child.done
	select { // a last frame may tell that the cell had ended
	case <-heard:
	case <-time.After(200 * time.Millisecond):
	}
	p.out.sync()
	p.err.sync()
	s.childEnded(p.child, p.err.last())
	wg.Wait()
	for _, l := range p.logs {
		l.Close() // the lines that have not ended
	}
}

// readEvent reads one frame of the runner; one that is too long or makes no
// sense becomes an event that nobody handles.
func readEvent(r io.Reader) (*event, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxRunnerFrame {
		_, err := io.CopyN(io.Discard, r, int64(n))
		return &event{Ev: "dropped", Total: int(n)}, err
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	e := &event{}
	if err := json.Unmarshal(body, e); err != nil {
		return &event{Ev: fmt.Sprintf("unreadable: %v", err)}, nil
	}
	return e, nil
}

// fromPython handles one frame.
func (s *Supervisor) fromPython(p *python, e *event) {
	switch e.Ev {
	case "imported", "attached", "attachFailed":
		s.log.Info("the runner says", "event", e.Ev, "after", s.age())
	}
	switch e.Ev {
	case "imported":
		if s.spec.Wait == shim.WaitProperties {
			s.halted(1)
		}
	case "attached":
		s.isReady(1)
		if s.spec.Wait == shim.WaitContext {
			s.halted(1)
		}
	case "claimed":
		s.claimTaken(1, "")
	case "attachFailed":
		s.failStart(e.text(), true)
	case "display":
		s.display(e)
	case "dropped":
		s.dropDisplay(int64(e.Total))
	case "done":
		s.done(p, e)
	case "pong":
		p.pong()
	}
}

// display appends one display to the running cell's stream.
func (s *Supervisor) display(e *event) {
	s.mu.Lock()
	c := s.running
	s.mu.Unlock()
	if c == nil || c.id != e.ID || !json.Valid(e.Data) {
		return
	}
	c.spools[shim.Displays].Line(append([]byte(e.Data), '\n'))
}

func (s *Supervisor) dropDisplay(n int64) {
	s.mu.Lock()
	c := s.running
	s.mu.Unlock()
	if c != nil {
		c.spools[shim.Displays].Drop(n)
	}
}
