package supervise

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"glaux/internal/sandbox"
	"glaux/internal/shim"
)

// jvm is the driver's Java process.
type jvm struct {
	child    *child
	events   *os.File // its events, lines of JSON
	out, err *pump
	logs     [2]*journalWriter

	mu sync.Mutex // guards in
	in *os.File   // its commands, lines of JSON; nil once closed
}

// event is any event of the JVM or the runner.
type event struct {
	Ev string `json:"ev"`
	// gateway
	Port   int    `json:"port"`
	Secret string `json:"secret"`
	// context
	AppID   string `json:"appId"`
	Version string `json:"version"`
	// failed, attachFailed; done has an object under the same name
	Error json.RawMessage `json:"error"`
	// executor; id is a cell's for the runner
	ID      string  `json:"id"`
	Host    string  `json:"host"`
	Cores   int     `json:"cores"`
	Time    float64 `json:"time"`
	Removed bool    `json:"removed"`
	Reason  string  `json:"reason"`
	// progress
	Group string `json:"group"`
	Done  int    `json:"done"`
	Total int    `json:"total"`
	// operations
	Running int   `json:"running"`
	Ended   int64 `json:"ended"`
	// archive
	Used bool   `json:"used"`
	Why  string `json:"why"`
	// display
	Data json.RawMessage `json:"data"`
	// done
	OK          bool `json:"ok"`
	Interrupted bool `json:"interrupted"`
	// claimed
	Refused string `json:"refused"`
	// pong, ui, uiFailed
	N int64 `json:"n"`
}

// text returns Error when it is a string.
func (e *event) text() string {
	var s string
	if json.Unmarshal(e.Error, &s) != nil {
		return string(e.Error)
	}
	return s
}

// process returns the child; nil for a JVM that was not started.
func (j *jvm) process() *child {
	if j == nil {
		return nil
	}
	return j.child
}

// owner is the uid that pipes are given to; negative: ours.
func owner(spec shim.Spec) int {
	if spec.Sandboxed {
		return spec.UID
	}
	return -1
}

// spawn starts a command of the spec, in its sandbox if it has one.
func spawn(s *Supervisor, name string, c shim.Command, files []*os.File) (*child, error) {
	env := append(append([]string(nil), c.Env...), MarkOf(s.spec.Key))
	if !s.spec.Sandboxed {
		attr := &syscall.SysProcAttr{Setpgid: true}
		dieWithParent(attr)
		joined, err := s.group.Attr(attr)
		if err != nil {
			return nil, err
		}
		defer joined()
		return s.kids.start(name, c.Path, c.Args, env, c.Dir, files, attr)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args, err := sandbox.InitArgs(sandbox.Config{
		UID: s.spec.UID, ReadOnly: s.spec.ReadOnly, Writable: s.spec.Writable, Dir: c.Dir,
		Names: s.spec.Dir, Parent: os.Getpid(), Groups: s.group.All(),
	}, c.Path, c.Args)
	if err != nil {
		return nil, err
	}
	attr := sandbox.Attr()
	dieWithParent(attr) // until the change of uid, which sets it anew
	ch, err := s.kids.start(name, self, args, env, "/", files, attr)
	if errors.Is(err, syscall.EPERM) {
		return nil, fmt.Errorf("%w: root may not make mount namespaces here, which keep sessions apart (in a container: --cap-add SYS_ADMIN); or run the server as an ordinary user", err)
	}
	return ch, err
}

func startJVM(s *Supervisor) (*jvm, error) {
	uid := owner(s.spec)
	j := &jvm{}
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	in, their, err := inputPipe()
	if err != nil {
		return nil, err
	}
	j.in, theirs = in, append(theirs, their)
	var ours []*os.File
	for range 3 {
		our, their, err := pipe(uid)
		if err != nil {
			return nil, err
		}
		ours, theirs = append(ours, our), append(theirs, their)
	}
	j.logs = s.logsOf(shim.FromJVM)
	j.out, j.err = &pump{from: ours[0], log: j.logs[0]}, &pump{from: ours[1], log: j.logs[1]}
	j.events = ours[2]
	j.child, err = spawn(s, "java", s.spec.JVM, theirs)
	if err != nil {
		return nil, err
	}
	return j, nil
}

// command sends one line. A JVM that does not take it within a second has
// worse problems, which are noticed elsewhere.
func (j *jvm) command(v frame) {
	b, err := json.Marshal(v)
	if err != nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.in == nil {
		return
	}
	j.in.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = j.in.Write(append(b, '\n'))
}

// stop asks it to end; the end of its input asks again.
func (j *jvm) stop() {
	j.command(frame{"op": "stop"})
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.in != nil {
		j.in.Close()
		j.in = nil
	}
}

// close ends the readers of what somebody may still hold open.
func (j *jvm) close() {
	j.stop()
	j.out.sync()
	j.err.sync()
	j.out.stop()
	j.err.stop()
	j.events.Close()
}

// serveJVM takes what the JVM writes, until it is gone.
func (s *Supervisor) serveJVM(j *jvm) {
	var wg sync.WaitGroup
	wg.Go(j.out.run)
	wg.Go(j.err.run)
	heard := make(chan struct{})
	wg.Go(func() {
		defer close(heard)
		lines := bufio.NewScanner(j.events)
		lines.Buffer(make([]byte, 4096), 1<<20)
		for lines.Scan() {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				s.log.Warn("cannot read an event of the JVM", "error", err)
				continue
			}
			s.fromJVM(&e)
		}
	})
	<-j.child.done
	select { // its last events say why it ended
	case <-heard:
	case <-time.After(200 * time.Millisecond):
	}
	j.out.sync()
	j.err.sync()
	tail := j.err.last()
	if len(tail) == 0 {
		tail = j.out.last()
	}
	s.childEnded(j.child, tail)
	wg.Wait()
	for _, l := range j.logs {
		l.Close() // the lines that have not ended
	}
}

// fromJVM handles one event.
func (s *Supervisor) fromJVM(e *event) {
	if e.Ev != "progress" && e.Ev != "operations" && e.Ev != "ui" {
		s.log.Info("the JVM says", "event", e.Ev, "after", s.age())
	}
	switch e.Ev {
	case "gateway":
		s.mu.Lock()
		s.gateway = *e
		later := s.spec.Wait == shim.WaitProperties && s.claim == nil // its context may be another one then
		s.mu.Unlock()
		if !later {
			s.attach()
		}
	case "waiting":
		s.halted(0)
	case "claimed":
		s.claimTaken(0, e.Refused)
	case "context":
		s.change(func() {
			s.status.ApplicationID, s.status.SparkVersion = e.AppID, e.Version
			s.status.Context = time.Since(s.born).Milliseconds()
		})
	case "ready":
		s.isReady(0)
	case "ui", "uiFailed":
		s.uiTold(e)
	case "connect", "connectFailed":
		if e.Ev == "connectFailed" {
			s.log.Error("the JVM cannot serve Spark Connect", "error", e.text())
		}
		s.change(func() { s.served, s.unserved = true, e.text() })
	case "failed":
		s.failStart(e.text(), false)
	case "executor":
		s.change(func() { s.executorLocked(e) })
	case "progress":
		s.change(func() {
			if s.running != nil && s.running.id == e.Group {
				s.status.TasksDone, s.status.TasksTotal = e.Done, e.Total
			}
		})
	case "operations":
		s.change(func() {
			if s.exit == nil && !s.waitsLocked() {
				s.status.Operations, s.status.Operated = e.Running, e.Ended
				s.worked, s.rested = time.Now(), false
			}
		})
	case "archive":
		if !e.Used {
			s.log.Warn("the start-up archive is not in use", "why", e.Why)
		}
		s.change(func() { s.status.Archive = &shim.Archive{Used: e.Used, Why: e.Why} })
	}
}

// executorLocked notes that an executor came or went.
func (s *Supervisor) executorLocked(e *event) {
	at := int64(e.Time)
	if at == 0 {
		at = time.Now().UnixMilli()
	}
	list := append([]shim.Executor(nil), s.status.Executors...) // snapshots share the old one
	for i := range list {
		if list[i].ID == e.ID && list[i].Removed == 0 {
			if e.Removed {
				list[i].Removed, list[i].Reason = at, e.Reason
				s.status.Executors = list
			}
			return
		}
	}
	if !e.Removed {
		s.status.Executors = append([]shim.Executor{{ID: e.ID, Host: e.Host, Cores: e.Cores, Added: at}}, list...)
	}
}

// runner returns the Python process once it was started.
func (s *Supervisor) runner() *python {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.python
}
