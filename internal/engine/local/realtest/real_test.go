// Package realtest runs drivers of engine/local with the installed Spark
// runtime. GLAUX_RUNTIME_DIR names it; without one the tests fail and say so.
package realtest

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/engine/local"
	"glaux/internal/ident"
	"glaux/internal/install"
	"glaux/internal/shim"
	"glaux/internal/supervise"
)

// runtime loads the installed runtime.
func runtime(t *testing.T) local.Runtime {
	t.Helper()
	dir := os.Getenv("GLAUX_RUNTIME_DIR")
	if dir == "" {
		t.Fatal("GLAUX_RUNTIME_DIR is not set: this test needs the Spark runtime; run: glaux runtime install --dir DIR, and set it to DIR")
	}
	r, err := install.Load(dir)
	if err != nil {
		t.Fatalf("cannot load the runtime in %s: %v", dir, err)
	}
	return local.Runtime{Version: r.Version, JVM: r.Command, Formats: r.Formats, Runner: r.Runner(), Modules: r.Modules(), Env: r.Env(), Needs: []string{r.Dir}}
}

type world struct{ data, sockets, shim string }

func newWorld(t *testing.T) *world {
	t.Helper()
	sockets, err := os.MkdirTemp("", "gx") // short, unlike t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	os.Chmod(sockets, 0o711)
	w := &world{data: t.TempDir(), sockets: sockets, shim: filepath.Join(sockets, "glaux-shim")}
	if out, err := exec.Command("go", "build", "-o", w.shim, "glaux/cmd/glaux-shim").CombinedOutput(); err != nil {
		t.Fatalf("cannot build the shim: %v\n%s", err, out)
	}
	return w
}

func (w *world) launcher(t *testing.T) *local.Launcher {
	t.Helper()
	l, err := local.New(local.Config{
		Runtime: runtime(t), Data: w.data, Sockets: w.sockets, Agent: filepath.Join(w.sockets, "agent.sock"), Shim: w.shim,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func spec() engine.Spec {
	return engine.Spec{
		Key: engine.Key(ident.NewID()), Epoch: 1, Region: "us-east-1", AgentToken: "token",
		Cores: 2, HeapMiB: 1024, MaxOutput: 256 << 20, Orphaned: 10 * time.Minute,
	}
}

// session is a real driver that is stopped and removed with the test.
type session struct {
	*testing.T
	ctx context.Context
	d   engine.Driver
	engine.Runner
}

func start(t *testing.T, w *world, change func(*engine.Spec)) *session {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	sp := spec()
	if change != nil {
		change(&sp)
	}
	began := time.Now()
	d, err := w.launcher(t).Launch(ctx, sp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if err := d.Stop(end); err != nil {
			t.Error(err)
		}
		if err := d.Remove(end); err != nil {
			t.Error(err)
		}
	})
	if err := d.Ready(ctx); err != nil {
		for _, f := range []string{"logs/stderr.00000000000000000000", "shim.log"} {
			b, _ := os.ReadFile(filepath.Join(w.data, "sessions", string(sp.Key), f))
			t.Logf("%s:\n%s", f, b)
		}
		t.Fatal(err)
	}
	t.Logf("ready after %v", time.Since(began))
	if b, err := os.ReadFile(filepath.Join(w.data, "sessions", string(sp.Key), "shim.log")); err == nil {
		t.Logf("%s", b)
	}
	return &session{T: t, ctx: ctx, d: d, Runner: d.(engine.Runner)}
}

// cell runs code and returns its result and both streams.
func (s *session) cell(code string) (engine.CellResult, string, string) {
	s.Helper()
	id := engine.CellID(ident.NewID())
	began := time.Now()
	if err := s.Runner.Run(s.ctx, engine.Cell{ID: id, Code: code}); err != nil {
		s.Fatal(err)
	}
	r, err := s.Result(s.ctx, id)
	if err != nil {
		s.Fatal(err)
	}
	s.Logf("cell took %v, measured %v", time.Since(began), r.Run)
	return r, s.stream(id, engine.Stdout), s.stream(id, engine.Stderr)
}

func (s *session) stream(id engine.CellID, which engine.Stream) string {
	s.Helper()
	rd, err := s.Output(s.ctx, id, which, 0)
	if err != nil {
		s.Fatal(err)
	}
	defer rd.Close()
	b, err := io.ReadAll(rd)
	if err != nil {
		s.Fatal(err)
	}
	return string(b)
}

// want runs code that must succeed and print what is wanted.
func (s *session) want(code, out string) {
	s.Helper()
	r, stdout, stderr := s.cell(code)
	if r.Outcome != engine.Succeeded || !strings.Contains(stdout, out) {
		s.Fatalf("cell %q is %+v with output %q and %q, want %q", code, r, stdout, stderr, out)
	}
}

func TestRealConforms(t *testing.T) {
	w := newWorld(t)
	slots := make(chan struct{}, 2) // as many JVMs as the machine bears at a time
	enginetest.Test(t, func(t *testing.T) enginetest.Subject {
		slots <- struct{}{}
		t.Cleanup(func() { <-slots })
		return enginetest.Subject{
			New:      func(t *testing.T) engine.Launcher { return w.launcher(t) },
			Dialect:  enginetest.Python(),
			Patience: 3 * time.Minute,
		}
	})
}

func TestSparkRuns(t *testing.T) {
	s := start(t, newWorld(t), nil)
	s.want("spark.range(5).count()", "")
	s.want("print(spark.range(5).count(), spark.version, sc.applicationId)", "5 3.5.6 ")
	s.want("1+1", "")
	s.want("import os; print(os.environ['AWS_ENDPOINT_URL'], os.getuid())", "http://127.0.0.1:")
	r, _, stderr := s.cell("x = 1\nundefined")
	if r.Outcome != engine.Failed || r.Error.Name != "NameError" || !strings.Contains(stderr, `File "<stdin>", line 2`) {
		t.Errorf("result is %+v with %q", r, stderr)
	}
}

func TestSparkJobIsInterrupted(t *testing.T) {
	s := start(t, newWorld(t), nil)
	s.want("print(spark.range(5).count())", "5")
	id := engine.CellID(ident.NewID())
	code := "import time\nspark.range(4, numPartitions=4).rdd.map(lambda x: time.sleep(300)).count()"
	if err := s.Runner.Run(s.ctx, engine.Cell{ID: id, Code: code}); err != nil {
		t.Fatal(err)
	}
	watch, cancel := context.WithCancel(s.ctx)
	err := s.d.Watch(watch, func(st engine.Status) {
		if st.Tasks.Total == 4 {
			cancel() // the job runs
		}
	})
	if watch.Err() == nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := s.Interrupt(s.ctx, id); err != nil {
		t.Fatal(err)
	}
	r, err := s.Result(s.ctx, id)
	if err != nil || r.Outcome != engine.Cancelled {
		t.Fatalf("result is %+v, %v", r, err)
	}
	if took := time.Since(began); took > 4*time.Second { // two, on a quiet machine; at five the ladder would go on
		t.Errorf("the interrupt took %v", took)
	}
	s.want("print(spark.range(7).count())", "7")
}

// The context is the user's from the first moment on, also while the driver
// still runs a query to warm up.
func TestContextIsStoppedAtOnce(t *testing.T) {
	s := start(t, newWorld(t), nil)
	s.want("spark.stop()", "")
	s.want("from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\nprint(spark.range(5).count())", "5\n")
}

func TestLargeOutput(t *testing.T) {
	s := start(t, newWorld(t), func(sp *engine.Spec) { sp.MaxOutput = 256 << 20 })
	r, stdout, _ := s.cell("import sys\nfor _ in range(100): sys.stdout.write('x' * (1 << 20))")
	if r.Outcome != engine.Succeeded || len(stdout) != 100<<20 {
		t.Errorf("result is %+v with %d bytes", r, len(stdout))
	}
}

func TestHeapRunsOut(t *testing.T) {
	s := start(t, newWorld(t), func(sp *engine.Spec) { sp.Properties = map[string]string{"spark.driver.memory": "600m"} })
	id := engine.CellID("oom")
	code := "a = []\nwhile True: a.append(sc._jvm.java.util.Arrays.copyOf(sc._gateway.new_array(sc._jvm.long, 1), 10000000))"
	if err := s.Runner.Run(s.ctx, engine.Cell{ID: id, Code: code}); err != nil {
		t.Fatal(err)
	}
	e, err := s.d.Wait(s.ctx)
	if err != nil || !e.Memory || e.Process != "java" {
		t.Errorf("exit is %+v, %v", e, err)
	}
	r, err := s.Result(s.ctx, id)
	if err != nil || r.Outcome != engine.Lost {
		t.Errorf("result is %+v, %v", r, err)
	}
}

func TestConnectIsReached(t *testing.T) {
	s := start(t, newWorld(t), nil)
	c, err := s.d.Dial(s.ctx, engine.Connect)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, ok := c.(*net.UnixConn); !ok {
		t.Errorf("connection is %T", c)
	}
}

func TestWhatOnlySparkSubmitReads(t *testing.T) {
	w := newWorld(t)
	lib := t.TempDir()
	s := start(t, w, func(sp *engine.Spec) {
		sp.Args = []string{"one", "two words"}
		sp.Properties = map[string]string{
			"spark.driver.memory":           "700m",
			"spark.driver.extraJavaOptions": `-Dmine="a b" -XX:+UseG1GC -XX:MaxHeapFreeRatio=50`,
			"spark.driver.extraLibraryPath": lib,
			"spark.ui.enabled":              "true", // replaced
			"spark.sql.shuffle.partitions":  "3",
			"not.spark":                     "ignored",
		}
	})
	system := "sc._jvm.System.getProperty"
	s.want("print("+system+"('mine'))", "a b\n")
	s.want("print("+system+"('java.library.path').split(':')[0])", lib+"\n")
	s.want("print(sc._jvm.Runtime.getRuntime().maxMemory() >> 20)", "700\n")
	s.want("print([b.getName() for b in sc._jvm.java.lang.management.ManagementFactory.getGarbageCollectorMXBeans()])", "G1")
	s.want("print(sc.uiWebUrl, spark.conf.get('spark.sql.shuffle.partitions'), spark.conf.get('not.spark', 'unset'))", "None 3 unset\n")
	s.want("import sys; print(sys.argv[1:])", "['one', 'two words']\n")
	s.want("print(spark.conf.get('spark.app.id') == sc.applicationId, sc.master)", "True local[2]\n")
}

func TestDynamicPartitionOverwrite(t *testing.T) {
	s := start(t, newWorld(t), func(sp *engine.Spec) {
		sp.Properties = map[string]string{"spark.sql.sources.partitionOverwriteMode": "dynamic"}
	})
	s.want(`
import os
from pyspark.sql.functions import lit
at = os.environ["HOME"] + "/table"
def write(day, n):
    spark.range(n).withColumn("day", lit(day)).write.mode("overwrite").partitionBy("day").parquet(at)
write("a", 3); write("b", 5); write("a", 2)
print(sorted((r.day, r["count"]) for r in spark.read.parquet(at).groupBy("day").count().collect()))
`, "[('a', 2), ('b', 5)]\n")
}

// A class that the runtime has too comes from the session's jar only when that
// is to win; the same goes for resources.
func TestOwnJarsFirst(t *testing.T) {
	w := newWorld(t)
	r, err := install.Load(os.Getenv("GLAUX_RUNTIME_DIR"))
	if err != nil {
		t.Fatal(err)
	}
	const class = "org/apache/commons/lang3/BooleanUtils.class"
	jar := filepath.Join(w.sockets, "mine.jar")
	copyEntry(t, r.ClassPath, "commons-lang3-", class, jar)
	where := "print(sc._jvm.java.lang.Class.forName('org.apache.commons.lang3.BooleanUtils', True, sc._jvm.Thread.currentThread().getContextClassLoader())" +
		".getProtectionDomain().getCodeSource().getLocation())\n" +
		"print(sc._jvm.Thread.currentThread().getContextClassLoader().getResource('" + class + "'))"
	properties := map[string]string{"spark.jars": jar}
	s := start(t, w, func(sp *engine.Spec) { sp.Properties = properties })
	s.want(where, "commons-lang3-")
	properties["spark.driver.userClassPathFirst"] = "true"
	s = start(t, w, func(sp *engine.Spec) { sp.Properties = properties })
	s.want(where, "file:"+jar+"\njar:file:"+jar+"!/"+class+"\n")
	s.want("print(spark.range(100).selectExpr('sum(id)').collect(), sc.parallelize([1, 2]).map(lambda x: x + 1).collect())", "[Row(sum(id)=4950)] [2, 3]\n")
}

// copyEntry makes a jar with one entry of the first jar whose name begins so.
func copyEntry(t *testing.T, classPath []string, jar, entry, to string) {
	t.Helper()
	at := slices.IndexFunc(classPath, func(p string) bool { return strings.HasPrefix(filepath.Base(p), jar) })
	if at < 0 {
		t.Fatalf("no %s on the class path", jar)
	}
	from, err := zip.OpenReader(classPath[at])
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	f, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := zip.NewWriter(f)
	for _, e := range from.File {
		if e.Name == entry {
			if err := out.Copy(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(out.Close(), f.Chmod(0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestMissingJarSaysSo(t *testing.T) {
	w := newWorld(t)
	sp := spec()
	sp.Properties = map[string]string{"spark.jars": "/nowhere/my.jar"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d, err := w.launcher(t).Launch(ctx, sp)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Ready(ctx); err == nil || !strings.Contains(err.Error(), "/nowhere/my.jar") {
		t.Errorf("Ready: %v, want the missing jar named", err)
	}
	if err := d.Remove(ctx); err != nil {
		t.Error(err)
	}
}

func TestDriverAtRestGivesItsHeapBack(t *testing.T) {
	w := newWorld(t)
	var key engine.Key
	s := start(t, w, func(sp *engine.Spec) { key, sp.HeapMiB = sp.Key, 2048 })
	b, err := os.ReadFile(filepath.Join(w.data, "sessions", string(key), shim.StateFile))
	var state supervise.State
	if err := errors.Join(err, json.Unmarshal(b, &state)); err != nil {
		t.Fatal(err)
	}
	s.want("long = sc._gateway.new_array(sc._jvm.long, 1)\na = [sc._jvm.java.util.Arrays.copyOf(long, 10000000) for _ in range(9)]\nprint('held')", "held")
	const held = 720_000 // kB, of nine arrays
	if now := resident(t, state.JVM.PID); now < held {
		t.Errorf("with %d kB held, %d are resident", held, now)
	}
	s.want("import gc\na = None\nprint(gc.collect() >= 0)", "True")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for resident(t, state.JVM.PID) >= held {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			t.Fatalf("%d kB are resident at rest", resident(t, state.JVM.PID))
		}
	}
	s.want("print(spark.range(10).count())", "10")
}

// resident returns how much memory a process has, in kB.
func resident(t *testing.T, pid int) (kb int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatal(err)
	}
	return kb
}
