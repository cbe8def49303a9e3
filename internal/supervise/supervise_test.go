package supervise

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"glaux/internal/shim"
)

func TestStampTellsProcessesApart(t *testing.T) {
	me, err := StampOf(os.Getpid())
	if err != nil || !me.Alive() || me.Start == 0 || me.Boot == "" {
		t.Fatalf("stamp is %+v, %v", me, err)
	}
	for _, change := range []func(*Stamp){
		func(s *Stamp) { s.Start++ }, func(s *Stamp) { s.Boot += "x" }, func(s *Stamp) { s.PID = 0 },
	} {
		other := me
		change(&other)
		if other.Alive() {
			t.Errorf("%+v is alive beside %+v", other, me)
		}
		if err := other.Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%+v was signalled: %v", other, err)
		}
	}
}

func TestStampOfAnEndedProcess(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	st, err := StampOf(cmd.Process.Pid)
	if err != nil || !st.Alive() {
		t.Fatalf("stamp is %+v, %v", st, err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if st.Alive() {
		t.Error("an ended process is alive")
	}
	if _, err := StampOf(st.PID); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("stamp of an ended process: %v", err)
	}
}

func TestSpoolKeepsWhatFits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := NewSpool(path, 10)
	for _, w := range []string{"12345", "678", "9abcd", "more"} {
		if n, err := s.Write([]byte(w)); n != len(w) || err != nil {
			t.Fatalf("Write is %d, %v", n, err)
		}
	}
	size, dropped := s.Close(true)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(b), "123456789a\n[output truncated: 7 more bytes") || dropped != 7 || size != int64(len(b)) {
		t.Errorf("the spool is %q with size %d and %d dropped", b, size, dropped)
	}
	if again, _ := s.Close(true); again != size {
		t.Errorf("closed again it has size %d", again)
	}
	s.Write([]byte("late")) // after the end: nowhere
	var out bytes.Buffer
	if err := s.Follow(t.Context(), 5, &out); err != nil || out.String() != string(b[5:]) {
		t.Errorf("followed %q, %v", out.String(), err)
	}
}

func TestSpoolKeepsWholeLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := NewSpool(path, 10)
	for _, l := range []string{"{\"a\":1}\n", "{\"b\":2}\n", "1\n"} {
		s.Line([]byte(l))
	}
	s.Drop(100)
	_, dropped := s.Close(false)
	if b, err := os.ReadFile(path); err != nil || string(b) != "{\"a\":1}\n1\n" || dropped != 108 {
		t.Errorf("the spool is %q, %v, with %d dropped", b, err, dropped)
	}
}

func TestSpoolIsFollowed(t *testing.T) {
	s := NewSpool(filepath.Join(t.TempDir(), "s"), 1<<20)
	r, w := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { w.CloseWithError(s.Follow(t.Context(), 0, w)) })
	b := make([]byte, 3)
	for _, word := range []string{"one", "two"} {
		s.Write([]byte(word))
		if _, err := io.ReadFull(r, b); err != nil || string(b) != word {
			t.Fatalf("followed %q, %v", b, err)
		}
	}
	s.Close(true)
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("followed %q, %v", rest, err)
	}
	wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewSpool("x", 1).Follow(ctx, 0, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("Follow without end: %v", err)
	}
}

func TestSpoolOnADiskThatRefuses(t *testing.T) {
	s := NewSpool(filepath.Join(t.TempDir(), "missing", "s"), 10)
	if n, err := s.Write([]byte("abc")); n != 3 || err != nil {
		t.Errorf("Write is %d, %v", n, err)
	}
	if size, dropped := s.Close(true); size != 0 || dropped != 3 {
		t.Errorf("size %d, dropped %d", size, dropped)
	}
}

func TestPumpSyncs(t *testing.T) {
	ours, theirs, err := pipe(-1)
	if err != nil {
		t.Fatal(err)
	}
	var log, cell bytes.Buffer
	p := &pump{from: ours, log: &log}
	var wg sync.WaitGroup
	wg.Go(p.run)
	for i := range 200 { // each time everything written before must be there
		p.route(&cell)
		cell.Reset()
		text := bytes.Repeat([]byte{'a' + byte(i%26)}, 1+i*300)
		if _, err := theirs.Write(text); err != nil {
			t.Fatal(err)
		}
		p.sync()
		if !bytes.Equal(cell.Bytes(), text) {
			t.Fatalf("after sync %d there are %d bytes of %d", i, cell.Len(), len(text))
		}
	}
	p.route(nil)
	io.WriteString(theirs, "outside\nlast\n")
	p.sync()
	if log.String() != "outside\nlast\n" {
		t.Errorf("the log is %q", log.String())
	}
	theirs.Close()
	wg.Wait()
	p.sync() // of an ended pump: at once
	if tail := p.last(); len(tail) == 0 || tail[len(tail)-1] != "last" {
		t.Errorf("the tail is %q", tail)
	}
	if len(p.tail) > tailBytes {
		t.Errorf("the tail has %d bytes", len(p.tail))
	}
}

func TestRelayCarriesBothDirectionsAndHolds(t *testing.T) {
	dir, err := os.MkdirTemp("", "gr")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	to := filepath.Join(dir, "agent")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { newRelay(to).serve(ctx, l) })

	for range 2 { // the second time after the server was away
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "held") // nobody is there yet
		server, err := net.Listen("unix", to)
		if err != nil {
			t.Fatal(err)
		}
		in, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		big := bytes.Repeat([]byte("0123456789"), 1<<20)
		var both sync.WaitGroup
		both.Go(func() {
			got, err := io.ReadAll(in)
			if err != nil || len(got) != len("held")+len(big) {
				t.Errorf("the server read %d bytes, %v", len(got), err)
			}
			in.Write(big)
			in.Close()
		})
		c.Write(big)
		c.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(c); err != nil || len(got) != len(big) {
			t.Errorf("the session read %d bytes, %v", len(got), err)
		}
		both.Wait()
		c.Close()
		server.Close()
	}
}

func TestRelayEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { newRelay("/nonexistent/agent").serve(ctx, l) })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel()
	wg.Wait() // with a connection held
}

func TestPingsAreAnsweredHoweverSoon(t *testing.T) {
	p := &python{queue: make(chan []byte, 1)}
	answered := make(chan struct{})
	go func() {
		for range p.queue {
			p.pong()
			answered <- struct{}{}
		}
	}()
	for n := range 100_000 {
		if missed := p.ping(); missed != 0 {
			t.Fatalf("%d calls of ping say that an answer is owed, after %d answers", missed, n)
		}
		<-answered
	}
	close(p.queue)

	p = &python{queue: make(chan []byte, 1)}
	for n := range 3 {
		if missed := p.ping(); missed != n {
			t.Errorf("ping without an answer says %d, want %d", missed, n)
		}
	}
	p.heard()
	if missed := p.ping(); missed != 1 {
		t.Errorf("after another sign of life ping says %d, want 1", missed)
	}
	p.pong()
	if missed := p.ping(); missed != 0 || p.pings != 2 {
		t.Errorf("after the answer ping says %d, and has sent %d", missed, p.pings)
	}
}

func TestJudgeNotesASilentInterpreter(t *testing.T) {
	s := &Supervisor{changed: make(chan struct{}), status: shim.Status{Phase: shim.PhasePrepared, Responsive: true}}
	for _, step := range []struct {
		missed int
		want   bool
	}{{0, true}, {mostMissed - 1, true}, {mostMissed, false}, {2 * mostMissed, false}, {0, true}} {
		s.judge(step.missed)
		if s.status.Responsive != step.want || (s.status.Note == "") != step.want {
			t.Errorf("after %d missed pings: responsive %v, %q", step.missed, s.status.Responsive, s.status.Note)
		}
	}
	s.running = &cell{}
	s.judge(1000)
	if !s.status.Responsive {
		t.Error("a cell that computes is taken for silence")
	}
	s.running = nil
	s.status.Responsive, s.status.Note = false, judgedNote
	s.judge(0)
	if s.status.Responsive {
		t.Error("a pong absolves from an interrupt that is ignored")
	}
}

func TestExecutorsComeAndGo(t *testing.T) {
	s := &Supervisor{}
	for _, e := range []event{
		{ID: "driver", Host: "h", Cores: 2, Time: 1000},
		{ID: "1", Host: "h", Cores: 1, Time: 2000},
		{ID: "1", Host: "h", Cores: 1, Time: 2001}, // told twice
		{ID: "1", Removed: true, Reason: "idle", Time: 3000},
		{ID: "1", Removed: true, Time: 4000},
	} {
		s.executorLocked(&e)
	}
	want := []shim.Executor{{ID: "1", Host: "h", Cores: 1, Added: 2000, Removed: 3000, Reason: "idle"}, {ID: "driver", Host: "h", Cores: 2, Added: 1000}}
	if len(s.status.Executors) != 2 || s.status.Executors[0] != want[0] || s.status.Executors[1] != want[1] {
		t.Errorf("executors are %+v", s.status.Executors)
	}
}

func TestRunnerFramesThatMakeNoSense(t *testing.T) {
	for text, want := range map[string]string{
		"\x00\x00\x00\x02{}":                "",
		"\x00\x00\x00\x0d{\"ev\":\"pong\"}": "pong",
		"\x00\x00\x00\x03{x}":               "unreadable",
	} {
		e, err := readEvent(strings.NewReader(text))
		if err != nil || !strings.HasPrefix(e.Ev, want) {
			t.Errorf("%q is %+v, %v", text, e, err)
		}
	}
	if _, err := readEvent(strings.NewReader("\x00\x00\x00\x09{}")); err == nil {
		t.Error("a part of a frame is read")
	}
	giant := io.MultiReader(strings.NewReader("\x05\x00\x00\x00"), io.LimitReader(zeros{}, 5<<24))
	if e, err := readEvent(giant); err != nil || e.Ev != "dropped" || e.Total != 5<<24 {
		t.Errorf("a giant is %+v, %v", e, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestSweepFindsAMarkedProcess(t *testing.T) {
	const key = "0badcafe-0000-0000-0000-000000000001"
	cmd := exec.Command("cat")
	cmd.Env = append(os.Environ(), MarkOf(key))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It has an environment once it runs, which is a little after Start.
	if _, err := in.Write([]byte{'x'}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { cmd.Wait() })
	killed := Sweep(key, 0)
	if killed == 0 { // where environments cannot be read
		cmd.Process.Kill()
	}
	wg.Wait()
	if found := sweeps(); found && killed != 1 {
		t.Errorf("Sweep killed %d processes, want 1", killed)
	}
}

func sweeps() bool { _, err := os.Stat("/proc/self/environ"); return err == nil }

func TestRestIsToldOnceAfterWork(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := &Supervisor{log: slog.New(slog.DiscardHandler), changed: make(chan struct{}), jvm: &jvm{in: w}, status: shim.Status{Phase: shim.PhaseStarted}}
	long := func() { s.worked = s.worked.Add(-restAfter) } // passes
	told := 0
	for i, step := range []struct {
		do   func()
		want int
	}{
		{long, 0}, // it still starts
		{func() { s.isReady(0); s.isReady(1) }, 0},
		{long, 1},
		{long, 1},
		{func() { s.running = &cell{} }, 1},
		{long, 1},
		{func() { s.running = nil }, 1},
		{long, 2},
		{func() { s.fromJVM(&event{Ev: "operations", Running: 1}) }, 2},
		{long, 2},
		{func() { s.fromJVM(&event{Ev: "operations"}) }, 2},
		{long, 3},
	} {
		step.do()
		was := s.rested
		if s.rest(); s.rested && !was {
			told++
		}
		if told != step.want {
			t.Errorf("after step %d it was told %d times, want %d", i, told, step.want)
		}
	}
	w.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != strings.Repeat(`{"op":"rest"}`+"\n", 3) {
		t.Errorf("the JVM was sent %q, %v", got, err)
	}
}
