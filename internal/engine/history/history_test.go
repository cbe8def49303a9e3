package history

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
)

// play is the first argument with which the test binary plays the Java process.
const play = "play-history"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == play {
		os.Exit(fakeJava())
	}
	os.Exit(m.Run())
}

// fakeJava speaks the process's side. A session's event log says what
// to do with it: "none", "fail", "exit", "hang", or nothing of these.
func fakeJava() int {
	events, err := os.OpenFile("/dev/fd/3", os.O_WRONLY, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot open events:", err)
		return 4
	}
	send := func(e event) {
		b, _ := json.Marshal(e)
		events.Write(append(b, '\n'))
	}
	if os.Getenv("BROKEN") != "" {
		fmt.Fprintln(os.Stderr, "no Java here")
		return 5
	}
	send(event{Ev: "ready"})
	secret := ""
	uis := map[engine.Key]net.Listener{}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var c command
		if json.Unmarshal(in.Bytes(), &c) != nil {
			return 6
		}
		if c.Op == "close" {
			uis[c.Key].Close()
			delete(uis, c.Key)
			continue
		}
		if c.Op == "secret" {
			secret = c.Secret
			continue
		}
		word := []byte("fail")
		if files, _ := filepath.Glob(filepath.Join(c.Dir, "eventlog_v2_app", "events_1_app")); len(files) == 1 {
			word, _ = os.ReadFile(files[0])
		}
		switch strings.TrimSpace(string(word)) {
		case "none":
			send(event{Ev: "none", N: c.N})
		case "fail":
			send(event{Ev: "uiFailed", N: c.N, Error: "broken log"})
		case "memory":
			return outOfMemory
		case "hang":
		default:
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				return 7
			}
			uis[c.Key] = l
			go http.Serve(l, enginetest.UIHandler(secret))
			send(event{Ev: "ui", N: c.N, Port: l.Addr().(*net.TCPAddr).Port})
		}
	}
	return 0
}

// world is a running server over event logs.
type world struct {
	*testing.T
	*Server
	logs string
	stop func()
}

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg := Config{
		Program: func(heap int, temp string) (Program, error) {
			return Program{Argv: []string{self, play, fmt.Sprint(heap), temp}}, nil
		},
		Logs: filepath.Join(dir, "history"), Work: filepath.Join(dir, "work"), Idle: time.Hour,
		Ended: func(context.Context, engine.Key) (time.Time, error) { return time.Now(), nil },
		Log:   slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if err := os.Mkdir(cfg.Logs, 0o711); err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(&cfg)
	}
	w := &world{T: t, Server: New(cfg), logs: cfg.Logs}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Server.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

// log makes the event log of a session.
func (w *world) log(key, word string) engine.Key {
	w.Helper()
	dir := filepath.Join(w.logs, key, "eventlog_v2_app")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "events_1_app"), []byte(word), 0o600); err != nil {
		w.Fatal(err)
	}
	return engine.Key(key)
}

func (w *world) open(key engine.Key) (Place, func()) {
	w.Helper()
	at, done, err := w.Open(w.Context(), key)
	if err != nil {
		w.Fatalf("Open of %s: %v", key, err)
	}
	return at, done
}

// page reads a page of a UI; the error is that of the connection.
func page(at Place) (int, string, error) {
	r, err := http.NewRequest(http.MethodGet, "http://"+at.Address+"/jobs/", nil)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("X-Glaux-Session-Secret", at.Secret)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer reply.Body.Close()
	b, err := io.ReadAll(reply.Body)
	return reply.StatusCode, string(b), err
}

// until waits for a condition that has no event of its own.
func (w *world) until(what string, holds func() bool) {
	w.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			w.Fatalf("not in time: %s", what)
		}
	}
}

func (w *world) runs() bool { up, _ := w.Running(); return up }

func TestOneProcessShowsManySessions(t *testing.T) {
	w := newWorld(t)
	if w.runs() {
		t.Error("it runs before anybody has looked")
	}
	one, two := w.log("one", ""), w.log("two", "")
	first, done := w.open(one)
	defer done()
	second, done := w.open(two)
	defer done()
	again, done := w.open(one)
	defer done()
	if first != again || first.Address == second.Address || len(first.Secret) < 32 {
		t.Errorf("places are %v, %v, %v", first, second, again)
	}
	for _, at := range []Place{first, second} {
		if status, text, err := page(at); status != http.StatusOK || !strings.Contains(text, "Spark Jobs") {
			t.Errorf("the page is %d %q, %v", status, text, err)
		}
		if status, _, err := page(Place{Address: at.Address, Secret: "x"}); status != http.StatusUnauthorized {
			t.Errorf("without the secret: %d, %v", status, err)
		}
	}
	if _, n := w.Running(); n != 1 {
		t.Errorf("%d processes were started", n)
	}
	w.stop()
	if _, _, err := page(first); err == nil {
		t.Error("the UI is there after the end")
	}
	if _, _, err := w.Open(t.Context(), one); !errors.Is(err, errStopped) {
		t.Errorf("Open after the end: %v", err)
	}
}

func TestManyOpenAtOnce(t *testing.T) {
	w := newWorld(t)
	key := w.log("one", "")
	var all sync.WaitGroup
	places := make(chan Place, 20)
	for range cap(places) {
		all.Go(func() {
			at, done, err := w.Open(t.Context(), key)
			if err != nil {
				t.Error(err)
				return
			}
			done()
			places <- at
		})
	}
	all.Wait()
	close(places)
	seen := map[Place]bool{}
	for at := range places {
		seen[at] = true
	}
	if _, n := w.Running(); n != 1 || len(seen) != 1 {
		t.Errorf("%d processes, places %v", n, seen)
	}
}

func TestNothingToShow(t *testing.T) {
	w := newWorld(t)
	if _, _, err := w.Open(t.Context(), "nobody"); !errors.Is(err, ErrNone) {
		t.Errorf("without a log: %v", err)
	}
	if w.runs() {
		t.Error("it runs for nothing")
	}
	if _, _, err := w.Open(t.Context(), w.log("empty", "none")); !errors.Is(err, ErrNone) {
		t.Errorf("of an empty log: %v", err)
	}
	if _, _, err := w.Open(t.Context(), w.log("broken", "fail")); err == nil || !strings.Contains(err.Error(), "broken log") {
		t.Errorf("of a broken log: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := w.Open(ctx, w.log("long", "hang")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("of a long log: %v", err)
	}
	_, done := w.open(w.log("good", ""))
	done()
}

func TestProcessIsStartedAgain(t *testing.T) {
	w := newWorld(t)
	key := w.log("good", "")
	before, done := w.open(key)
	done()
	if _, _, err := w.Open(t.Context(), w.log("large", "memory")); err == nil || !strings.Contains(err.Error(), "512 MiB") {
		t.Errorf("of a log that is too large: %v", err)
	}
	if _, _, err := w.Open(t.Context(), "large"); !errors.Is(err, ErrHeld) {
		t.Errorf("a second time: %v", err)
	}
	after, done := w.open(key)
	defer done()
	if before.Secret == after.Secret {
		t.Error("the new process has the old one's secret")
	}
	if _, n := w.Running(); n != 2 {
		t.Errorf("%d processes were started", n)
	}
}

// TestLogThatTakesTooLong has logs that are never read, as many as are read at
// once: the process is killed, and others are shown by the next one.
func TestLogThatTakesTooLong(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Read, c.Hold = 200*time.Millisecond, time.Hour })
	good := w.log("good", "")
	var all sync.WaitGroup
	for i := range readers {
		key := w.log(fmt.Sprint("long", i), "hang")
		all.Go(func() {
			if _, _, err := w.Open(t.Context(), key); !errors.Is(err, ErrHeld) {
				t.Errorf("Open of %s: %v", key, err)
			}
		})
	}
	_, done := w.open(good) // whichever process it is that shows it
	done()
	all.Wait()
	_, done = w.open(good)
	done()
	entries, err := os.ReadDir(w.copies())
	if err != nil || len(entries) != 1 {
		t.Errorf("copies are %v, %v", entries, err)
	}
}

// TestLogsShareTheMemory closes what is not in use for a log that would not fit
// beside it, and has it wait for what is.
func TestLogsShareTheMemory(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.HeapMiB = 2 })
	large := strings.Repeat(strings.Repeat("x", 1<<10)+"\n", 700)
	a, b := w.log("a", large), w.log("b", large)
	first, done := w.open(a)
	if _, _, err := w.Open(t.Context(), b); !errors.Is(err, ErrBusy) {
		t.Errorf("Open beside one in use: %v", err)
	}
	done()
	_, done = w.open(b)
	defer done()
	w.until("the other one is closed", func() bool { _, _, err := page(first); return err != nil })
}

func TestProcessThatCannotStart(t *testing.T) {
	broken := true
	w := newWorld(t, func(c *Config) {
		program := c.Program
		c.Program = func(heap int, temp string) (Program, error) {
			p, err := program(heap, temp)
			if broken {
				p.Env = append(p.Env, "BROKEN=1")
			}
			return p, err
		}
	})
	key := w.log("one", "")
	if _, _, err := w.Open(t.Context(), key); err == nil || !strings.Contains(err.Error(), "no Java here") {
		t.Errorf("Open: %v", err)
	}
	w.until("the process is gone", func() bool { return !w.runs() })
	broken = false // read by the next start only
	_, done := w.open(key)
	done()
}

func TestUnusedIsClosed(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Idle = 100 * time.Millisecond })
	used, unused := w.log("used", ""), w.log("unused", "")
	at, done := w.open(used)
	other, release := w.open(unused)
	release()
	w.until("the unused UI is closed", func() bool { _, _, err := page(other); return err != nil })
	if status, _, err := page(at); status != http.StatusOK {
		t.Errorf("a UI in use: %d, %v", status, err)
	}
	done()
	w.until("the process ends", func() bool { return !w.runs() })
	if _, _, err := page(at); err == nil {
		t.Error("the UI is there after the process")
	}
	_, done = w.open(used)
	done()
	if _, n := w.Running(); n != 2 {
		t.Errorf("%d processes were started", n)
	}
}

func TestOldestMakesRoom(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Open = 2 })
	first, done := w.open(w.log("a", ""))
	done()
	second, hold := w.open(w.log("b", ""))
	defer hold()
	_, done = w.open(w.log("c", ""))
	defer done()
	w.until("the oldest is closed", func() bool { _, _, err := page(first); return err != nil })
	if status, _, err := page(second); status != http.StatusOK {
		t.Errorf("a UI in use: %d, %v", status, err)
	}
}

// TestKilledServerLeavesNothing runs a server in a process of its own and kills
// that.
func TestKilledServerLeavesNothing(t *testing.T) {
	if dir := os.Getenv("HISTORY_TEST_DIR"); dir != "" { // the process that is killed
		w := newWorld(t, func(c *Config) { c.Logs = dir })
		at, done := w.open("one")
		defer done()
		fmt.Printf("at %s %s\n", at.Address, at.Secret)
		<-t.Context().Done()
		return
	}
	dir := t.TempDir()
	w := &world{T: t, logs: dir}
	w.log("one", "")
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKilledServerLeavesNothing$")
	cmd.Env = append(os.Environ(), "HISTORY_TEST_DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var at Place
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if n, _ := fmt.Sscanf(lines.Text(), "at %s %s", &at.Address, &at.Secret); n == 2 {
			break
		}
	}
	if status, _, err := page(at); status != http.StatusOK {
		t.Fatalf("the page is %d, %v", status, err)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	w.until("the process follows its server", func() bool { _, _, err := page(at); return err != nil })
}
