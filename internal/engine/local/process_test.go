package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"glaux/internal/engine"
	"glaux/internal/ident"
	"glaux/internal/shim"
	"glaux/internal/supervise"
)

// patience bounds every wait of these tests.
const patience = 30 * time.Second

func testSpec() engine.Spec {
	return engine.Spec{
		Key: engine.Key(ident.NewID()), Epoch: 1, Region: "eu-west-1", AgentToken: "the token",
		Cores: 1, HeapMiB: 512, MaxOutput: 256 << 20, Orphaned: 10 * time.Minute, Properties: map[string]string{},
	}
}

// live is one driver under test; it is stopped and removed with the test.
type live struct {
	*testing.T
	ctx context.Context
	w   *world
	d   *Driver
}

func launch(t *testing.T, w *world, spec engine.Spec) *live {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	d, err := w.launcher(t).Launch(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	v := &live{T: t, ctx: ctx, w: w, d: d.(*Driver)}
	t.Cleanup(func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := v.d.Stop(end); err != nil && !errors.Is(err, engine.ErrGone) {
			t.Error(err)
		}
		if err := v.d.Remove(end); err != nil {
			t.Error(err)
		}
	})
	return v
}

func ready(t *testing.T, w *world, spec engine.Spec) *live {
	t.Helper()
	v := launch(t, w, spec)
	if err := v.d.Ready(v.ctx); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *live) run(code ...string) engine.CellID {
	v.Helper()
	id := engine.CellID(ident.NewID())
	if err := v.d.Run(v.ctx, engine.Cell{ID: id, Code: strings.Join(code, "\n")}); err != nil {
		v.Fatal(err)
	}
	return id
}

// print runs a cell and returns its stdout without the last newline.
func (v *live) print(code ...string) string {
	v.Helper()
	id := v.run(code...)
	if _, err := v.d.Result(v.ctx, id); err != nil {
		v.Fatal(err)
	}
	r, err := v.d.Output(v.ctx, id, engine.Stdout, 0)
	if err != nil {
		v.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		v.Fatal(err)
	}
	return strings.TrimSuffix(string(b), "\n")
}

// begun waits for the first line of a running cell.
func (v *live) begun(id engine.CellID) string {
	v.Helper()
	r, err := v.d.Output(v.ctx, id, engine.Stdout, 0)
	if err != nil {
		v.Fatal(err)
	}
	defer r.Close()
	var line string
	if _, err := fmt.Fscanln(r, &line); err != nil {
		v.Fatal(err)
	}
	return line
}

func (v *live) state() supervise.State {
	v.Helper()
	var st supervise.State
	if err := readJSON(v.d.file(shim.StateFile), &st); err != nil {
		v.Fatal(err)
	}
	return st
}

// restarted is the driver as a later server sees it.
func (v *live) restarted() *Driver {
	v.Helper()
	d, err := v.w.launcher(v.T).Adopt(v.ctx, v.d.Handle())
	if err != nil {
		v.Fatal(err)
	}
	return d.(*Driver)
}

// eventually waits until ok is true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func alive(pid int) bool {
	_, err := supervise.StampOf(pid)
	return err == nil
}

func TestKilledShimIsLost(t *testing.T) {
	t.Parallel()
	v := ready(t, newWorld(t), testSpec())
	id := v.run("orphan", "forever")
	orphan, err := strconv.Atoi(v.begun(id))
	if err != nil {
		t.Fatal(err)
	}
	st := v.state()
	began := time.Now()
	if err := st.Shim.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	e, err := v.d.Wait(v.ctx)
	if err != nil || !e.Lost || e.Asked {
		t.Errorf("exit is %+v, %v, want lost", e, err)
	}
	if took := time.Since(began); took > 5*time.Second { // a fraction of one on a quiet machine
		t.Errorf("the loss was noticed after %v", took)
	}
	for what, pid := range map[string]int{"JVM": st.JVM.PID, "Python": st.Python.PID, "detached process": orphan} {
		if alive(pid) {
			t.Errorf("the %s lives on", what)
		}
	}
	if r, err := v.d.Result(v.ctx, id); err != nil || r.Outcome != engine.Lost || r.Sizes[engine.Stdout] == 0 {
		t.Errorf("result is %+v, %v, want lost", r, err)
	}
	if again, err := v.restarted().Wait(v.ctx); err != nil || !again.Lost || !again.Ended.Equal(e.Ended) {
		t.Errorf("a later server sees exit %+v, %v, want the same", again, err)
	}
}

// stopped reports whether every thread of a process is.
func stopped(pid int) bool {
	states, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, name := range states {
		b, _ := os.ReadFile(name)
		if _, rest, _ := strings.Cut(string(b), ") "); !strings.HasPrefix(rest, "T") {
			return false
		}
	}
	return len(states) > 0
}

func TestStoppedShimIsKilled(t *testing.T) {
	t.Parallel()
	v := ready(t, newWorld(t), testSpec())
	other := ready(t, v.w, testSpec())
	st := v.state()
	if err := st.Shim.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the shim is stopped", func() bool { return stopped(st.Shim.PID) })
	l := v.w.launcher(t)
	answer := make(chan error, 1)
	go func() {
		_, err := l.Adopt(v.ctx, v.d.Handle())
		answer <- err
	}()
	// Meanwhile others are not held up.
	if _, err := l.Adopt(v.ctx, other.d.Handle()); err != nil {
		t.Error(err)
	}
	select {
	case err := <-answer:
		t.Fatalf("Adopt of a stopped shim returned at once, with %v", err)
	default:
	}
	if err := <-answer; !errors.Is(err, engine.ErrNoReply) {
		t.Errorf("Adopt: %v, want ErrNoReply", err)
	}
	if err := l.Kill(v.ctx, v.d.Handle().Key); err != nil {
		t.Fatal(err)
	}
	for what, s := range map[string]supervise.Stamp{"shim": st.Shim, "JVM": st.JVM, "Python": st.Python} {
		if s.Alive() {
			t.Errorf("the %s lives on", what)
		}
	}
}

func TestProcessesDieWithTheShimByThemselves(t *testing.T) {
	t.Parallel()
	v := ready(t, newWorld(t), testSpec())
	st := v.state()
	if err := st.Shim.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "JVM and Python end", func() bool { return !st.JVM.Alive() && !st.Python.Alive() })
}

func TestStampsOfAnotherTimeAreLost(t *testing.T) {
	for name, change := range map[string]func(*supervise.Stamp){
		"reused pid": func(s *supervise.Stamp) { s.Start-- },
		"reboot":     func(s *supervise.Stamp) { s.Boot = "another" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := ready(t, newWorld(t), testSpec())
			st := v.state()
			if err := st.Shim.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the shim ends", func() bool { return !st.Shim.Alive() })
			mine, err := supervise.StampOf(os.Getpid()) // a process that lives and must be left alone
			if err != nil {
				t.Fatal(err)
			}
			change(&mine)
			if err := writeFile(v.d.file(shim.StateFile), supervise.State{Shim: mine, JVM: mine, Python: mine}, -1); err != nil {
				t.Fatal(err)
			}
			if e, err := v.restarted().Wait(v.ctx); err != nil || !e.Lost {
				t.Errorf("exit is %+v, %v, want lost", e, err)
			}
		})
	}
}

func TestCrashIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		kill func(*live)
		want engine.Exit
	}{
		"python killed": {func(v *live) { v.state().Python.Signal(syscall.SIGKILL) }, engine.Exit{Code: -1, Signal: 9, Process: "python"}},
		"java killed":   {func(v *live) { v.state().JVM.Signal(syscall.SIGSEGV) }, engine.Exit{Process: "java"}},
		"python exits":  {func(v *live) { v.run("crash 11") }, engine.Exit{Code: 11, Process: "python"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := ready(t, newWorld(t), testSpec())
			began := time.Now()
			c.kill(v)
			e, err := v.d.Wait(v.ctx)
			if err != nil || e.Process != c.want.Process || e.Asked || e.Lost || e.Memory {
				t.Fatalf("exit is %+v, %v", e, err)
			}
			if c.want.Code != 0 && (e.Code != c.want.Code || e.Signal != c.want.Signal) {
				t.Errorf("exit is %+v", e)
			}
			if took := time.Since(began); took > 5*time.Second { // a fraction of one on a quiet machine
				t.Errorf("noticed after %v", took)
			}
			if err := v.d.Ready(v.ctx); err == nil || strings.Contains(err.Error(), "the driver ended") {
				t.Errorf("Ready: %v, want what happened", err)
			}
		})
	}
}

// TestCellThatFailsByTheJVMsEndIsLost plays a Python that sees its gateway
// break, and says so, before the JVM's end is known.
func TestCellThatFailsByTheJVMsEndIsLost(t *testing.T) {
	t.Parallel()
	for range 3 {
		v := ready(t, newWorld(t), testSpec())
		id := v.run(fmt.Sprintf("kill %d", v.state().JVM.PID), "raise Py4JError the gateway is gone")
		if r, err := v.d.Result(v.ctx, id); err != nil || r.Outcome != engine.Lost || r.Error != nil {
			t.Errorf("result is %+v, %v, want lost", r, err)
		}
		if e, err := v.d.Wait(v.ctx); err != nil || e.Process != "java" || e.Signal != int(syscall.SIGKILL) {
			t.Errorf("exit is %+v, %v, want java killed", e, err)
		}
	}
}

func TestExitSaysOutOfMemoryAndLastLines(t *testing.T) {
	t.Parallel()
	spec := testSpec()
	spec.Properties["spark.test.exit"] = "3"
	e, err := launch(t, newWorld(t), spec).d.Wait(t.Context())
	if err != nil || !e.Memory || e.Process != "java" || e.Code != 3 || len(e.Tail) == 0 || e.Tail[len(e.Tail)-1] != "last words" {
		t.Errorf("exit is %+v, %v", e, err)
	}
}

func TestOrphanEndsItself(t *testing.T) {
	t.Parallel()
	spec := testSpec()
	spec.Orphaned = 300 * time.Millisecond
	v := launch(t, newWorld(t), spec)
	eventually(t, "the exit is recorded", func() bool {
		_, err := os.Stat(v.d.file(shim.ExitFile))
		return err == nil
	})
	if e, err := v.d.Wait(v.ctx); err != nil || !e.Orphan {
		t.Errorf("exit is %+v, %v, want an orphan's", e, err)
	}
}

func TestWatchedDriverIsNoOrphan(t *testing.T) {
	t.Parallel()
	spec := testSpec()
	spec.Orphaned = time.Second
	v := launch(t, newWorld(t), spec)
	watch, cancel := context.WithTimeout(v.ctx, 3*time.Second)
	defer cancel()
	if err := v.d.Watch(watch, func(engine.Status) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Watch: %v, want the driver to live on", err)
	}
}

func TestVanishedDirectoryEndsTheDriver(t *testing.T) {
	t.Parallel()
	v := ready(t, newWorld(t), testSpec())
	st := v.state()
	if err := os.Rename(v.d.dir, v.d.dir+".away"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(v.d.dir + ".away") })
	eventually(t, "everything ends", func() bool { return !st.Shim.Alive() && !st.JVM.Alive() && !st.Python.Alive() })
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	v := ready(t, newWorld(t), testSpec())
	orphan, err := strconv.Atoi(v.print("orphan"))
	if err != nil {
		t.Fatal(err)
	}
	if !alive(orphan) {
		t.Fatal("there is no detached process to begin with")
	}
	st := v.state()
	if err := v.d.Stop(v.ctx); err != nil {
		t.Fatal(err)
	}
	for what, pid := range map[string]int{"JVM": st.JVM.PID, "Python": st.Python.PID, "detached process": orphan} {
		if alive(pid) {
			t.Errorf("the %s lives on", what)
		}
	}
	eventually(t, "the shim ends", func() bool { return !st.Shim.Alive() })
	if _, err := os.Stat(v.d.client.Socket); err == nil {
		t.Error("the socket is still there")
	}
}

func TestDeafJVMIsForced(t *testing.T) {
	t.Parallel()
	spec := testSpec()
	spec.Properties["spark.test.deaf"] = "1"
	v := ready(t, newWorld(t), spec)
	ctx, cancel := context.WithTimeout(v.ctx, 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := v.d.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("Stop took %v", took)
	}
}

func TestAddressReachesTheServerAndHoldsWhileItIsAway(t *testing.T) {
	t.Parallel()
	v := ready(t, newWorld(t), testSpec())
	endpoint := v.print("env AWS_ENDPOINT_URL")
	id := v.run("dial " + strings.TrimPrefix(endpoint, "http://")) // no server yet: it is held
	l, err := net.Listen("unix", v.w.agent)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c) // ends although the other direction is open
	if err != nil || string(got) != "ping" {
		t.Errorf("the server read %q, %v", got, err)
	}
	fmt.Fprint(c, "pong")
	c.Close()
	if _, err := v.d.Result(v.ctx, id); err != nil {
		t.Fatal(err)
	}
	if line := v.begun(id); line != "pong" {
		t.Errorf("the session read %q", line)
	}
}

func TestSessionSeesItsEnvironmentOnly(t *testing.T) {
	t.Parallel()
	spec := testSpec()
	spec.Env = map[string]string{"EXTRA": "yes"}
	v := ready(t, newWorld(t), spec)
	for name, want := range map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_ALLOW_HTTP": "true",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN": "the token", "AWS_ACCESS_KEY_ID": "", "EXTRA": "yes", "GOPATH": "", "SHELL": "",
	} {
		if got := v.print("env " + name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	endpoint, uri := v.print("env AWS_ENDPOINT_URL"), v.print("env AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if uri != endpoint+"/_glaux/credentials/"+string(spec.Key) {
		t.Errorf("the credentials are at %q", uri)
	}
}

func TestConnectSocketIsPassed(t *testing.T) {
	t.Parallel()
	spec := testSpec()
	spec.Properties["spark.test.connect"] = "late" // a moment after the session is ready
	v := ready(t, newWorld(t), spec)
	c, err := v.d.Dial(v.ctx, engine.Connect)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if want := v.print("id"); err != nil || !strings.HasPrefix("uid "+want, strings.TrimSpace(string(b))) {
		t.Errorf("read %q, %v; the session is %q", b, err, want)
	}
	if _, err := v.d.Dial(v.ctx, "nonsense"); err == nil {
		t.Error("a service that is not there can be dialled")
	}
	none := ready(t, newWorld(t), testSpec())
	spec = testSpec()
	spec.Properties["spark.test.connect"] = "never"
	never := ready(t, newWorld(t), spec)
	if _, err := never.d.Dial(never.ctx, engine.Connect); !errors.Is(err, engine.ErrUnserved) || !strings.Contains(err.Error(), "no.such.Interceptor was not found") {
		t.Errorf("Dial of what did not start: %v", err)
	}
	if _, err := none.d.Dial(none.ctx, engine.Connect); !errors.Is(err, engine.ErrNoReply) {
		t.Errorf("Dial of what is not served: %v, want %v", err, engine.ErrNoReply)
	}
}

func TestOperationsAreShown(t *testing.T) {
	t.Parallel()
	spec := testSpec()
	spec.Properties["spark.test.operations"] = "2"
	v := ready(t, newWorld(t), spec)
	seen := func(d *Driver, ok func(engine.Status) bool) {
		t.Helper()
		watch, cancel := context.WithCancel(v.ctx)
		defer cancel()
		found := false
		err := d.Watch(watch, func(s engine.Status) {
			if ok(s) {
				found = true
				cancel()
			}
		})
		if !found {
			t.Fatalf("the status never was as wanted: %v", err)
		}
	}
	run := func(s engine.Status) bool { return s.Operations == 2 && s.Operated.UnixMilli() == 1234 }
	seen(v.d, run)
	seen(v.restarted(), run)
	if err := v.d.Stop(v.ctx); err != nil {
		t.Fatal(err)
	}
	seen(v.restarted(), func(s engine.Status) bool { return s.Phase == engine.Gone && s.Operations == 0 })
}

func TestOutputStaysOutOfTheShimsMemory(t *testing.T) {
	t.Parallel()
	v := ready(t, newWorld(t), testSpec())
	const size = 100 << 20
	if got := len(v.print(fmt.Sprintf("fill %d", size))); got != size {
		t.Errorf("read %d bytes of %d", got, size)
	}
	if peak := peakMiB(t, v.state().Shim.PID); peak > 64 {
		t.Errorf("the shim's memory reached %d MiB", peak)
	}
}

func TestBadPropertiesAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, p := range []map[string]string{
		{"spark.master": "yarn"},
		{"spark.authenticate": "false"},
		{"spark.driver.memory": "lots"},
		{"spark.driver.memory": "10m"},
		{"spark.driver.memory": "1t"},
		{"spark.driver.extraJavaOptions": "-Xmx4g"},
		{"spark.driver.extraJavaOptions": "-cp /x"},
		{"spark.driver.extraJavaOptions": `"open`},
		{"spark.driver.extraJavaOptions": "Main"},
	} {
		spec := testSpec()
		spec.Properties = p
		_, err := w.launcher(t).Launch(t.Context(), spec)
		if _, ok := errors.AsType[*engine.StartError](err); !ok {
			t.Errorf("Launch with %v: %v, want a start error", p, err)
		}
		if left, _ := w.launcher(t).List(t.Context()); len(left) != 0 {
			t.Errorf("Launch with %v left %v", p, left)
		}
	}
}

func TestLaunchAfterAnUnfinishedOne(t *testing.T) {
	t.Parallel()
	w, spec := newWorld(t), testSpec()
	l := w.launcher(t)
	// What a server leaves that ended before it could start the shim.
	if err := os.MkdirAll(filepath.Join(l.dir(spec.Key), "work"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(filepath.Join(l.dir(spec.Key), shim.SpecFile), shim.Spec{Version: shim.Version, Key: string(spec.Key)}, -1); err != nil {
		t.Fatal(err)
	}
	if list, err := l.List(t.Context()); err != nil || len(list) != 1 {
		t.Fatalf("List is %v, %v", list, err)
	}
	if got := ready(t, w, spec).print("out x"); got != "x" {
		t.Errorf("the cell printed %q", got)
	}
}

func TestShimRefusesOtherVersions(t *testing.T) {
	t.Parallel()
	v := ready(t, newWorld(t), testSpec())
	c, err := net.Dial("unix", v.d.client.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var r shim.Reply
	if err := errors.Join(shim.WriteFrame(c, shim.Request{Version: 99, Epoch: 9, Op: shim.OpStatus}), shim.ReadFrame(c, &r)); err != nil {
		t.Fatal(err)
	}
	if r.Code != shim.Mismatch {
		t.Errorf("reply is %+v", r)
	}
}

func TestProgramIsKeptUnderItsContent(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "p")
	var kept []string
	for _, text := range []string{"one", "two", "one"} {
		if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		at, err := keep(program, filepath.Join(dir, "bin"))
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, at)
	}
	if kept[0] == kept[1] || kept[0] != kept[2] {
		t.Errorf("kept at %v", kept)
	}
	if b, err := os.ReadFile(kept[0]); err != nil || string(b) != "one" {
		t.Errorf("the first holds %q, %v", b, err)
	}
}

// TestAsOrdinaryUser runs this binary's other tests as a user without rights.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return // everything here ran as one
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "gu")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{self: "local.test", shimProgram: "glaux-shim"} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "tmp"), 0o700), os.Chown(filepath.Join(dir, "tmp"), nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "local.test"), "-test.run=Conforms|Killed|Crash|Stop|Address|Vanished", "-test.count=1")
	cmd.Dir = dir
	cmd.Env = []string{"TMPDIR=" + filepath.Join(dir, "tmp"), "GLAUX_TEST_SHIM=" + filepath.Join(dir, "glaux-shim"), "PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "no tests to run") {
		t.Errorf("as uid %d: %v\n%s", nobody, err, out)
	}
}

func TestUIThatCannotBeShown(t *testing.T) {
	spec := testSpec()
	spec.Properties["spark.test.noui"] = "there is no SparkContext"
	v := ready(t, newWorld(t), spec)
	_, err := v.d.Dial(v.ctx, engine.UI)
	if !errors.Is(err, engine.ErrNoReply) || !strings.Contains(err.Error(), "there is no SparkContext") {
		t.Errorf("Dial: %v", err)
	}
	if _, err := v.d.Dial(v.ctx, "nonsense"); err == nil || errors.Is(err, engine.ErrNoReply) {
		t.Errorf("Dial of a service that is not there: %v", err)
	}
}

// TestEventLogOutlivesTheSession checks that the directory of the event log is
// the session's to write, and stays when the session is removed.
func TestEventLogOutlivesTheSession(t *testing.T) {
	w := newWorld(t)
	spec := testSpec()
	spec.EventLog = filepath.Join(w.data, "history", string(spec.Key))
	spec.Properties["spark.eventLog.dir"] = "s3://elsewhere/" // the service's: without effect
	spec.Properties["spark.eventLog.enabled"] = "false"
	v := ready(t, w, spec)
	file := filepath.Join(spec.EventLog, "events")
	if got := v.print("touch " + file); got != "ok" {
		t.Errorf("a file in the directory: %s", got)
	}
	var conf map[string]string
	if err := readJSON(confFile(filepath.Join(v.d.dir, "work")), &conf); err != nil {
		t.Fatal(err)
	}
	if conf["spark.eventLog.dir"] != "file://"+spec.EventLog || conf["spark.eventLog.enabled"] != "true" {
		t.Errorf("the log goes to %q, enabled %q", conf["spark.eventLog.dir"], conf["spark.eventLog.enabled"])
	}
	other := ready(t, w, testSpec())
	if got := other.print("read " + file); got == "ok" && isolated() {
		t.Error("another session reads the log")
	}
	if err := v.d.Stop(v.ctx); err != nil {
		t.Fatal(err)
	}
	if err := v.d.Remove(v.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("after the session: %v", err)
	}
}
