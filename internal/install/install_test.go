package install

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPinsAreComplete(t *testing.T) {
	p, err := readPins()
	if err != nil {
		t.Fatal(err)
	}
	if p.Java != 17 || p.Python != "3.11" || p.Spark != "3.5.6" || p.FetchWith == "" {
		t.Errorf("pins = %+v", p)
	}
	if len(p.Formats) != 3 || len(p.Formats["iceberg"]) == 0 || len(p.Formats["delta"]) == 0 || len(p.Formats["hudi"]) == 0 {
		t.Errorf("formats = %+v", p.Formats)
	}
	for _, jar := range slices.Concat(append(slices.Collect(maps.Values(p.Formats)), p.Jars)...) {
		if sum, err := hex.DecodeString(jar.SHA256); err != nil || len(sum) != sha256.Size || jar.Bytes == 0 || strings.Count(jar.Artifact, ":") != 2 {
			t.Errorf("jar %+v is not pinned", jar)
		}
	}
}

func TestEveryRequirementIsPinnedWithHashes(t *testing.T) {
	for block := range strings.SplitSeq(strings.ReplaceAll(string(requirements), "\\\n", " "), "\n") {
		if block == "" || strings.HasPrefix(strings.TrimSpace(block), "#") {
			continue
		}
		if !strings.Contains(block, "==") || !strings.Contains(block, "--hash=sha256:") {
			t.Errorf("not pinned: %q", block)
		}
	}
	for _, want := range []string{"pyspark==3.5.6 ", "numpy==1.", "pandas==2.", "pyarrow==19.", "protobuf==6.", "grpcio==", "grpcio-status==", "googleapis-common-protos==", "boto3==", "matplotlib==", "plotly==", "setuptools=="} {
		if !bytes.Contains(requirements, []byte("\n"+want)) {
			t.Errorf("requirements lack %q", want)
		}
	}
	if got := pinned("setuptools"); !strings.HasPrefix(got, "setuptools==") || strings.Count(got, "--hash=") < 1 || strings.HasSuffix(strings.TrimSpace(got), "\\") {
		t.Errorf("pinned(setuptools) = %q", got)
	}
}

func TestAdmitRefusesAWrongChecksum(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	must(t, os.WriteFile(from, []byte("something else"), 0o600))
	if err := admit(from, to, strings.Repeat("0", 64)); err == nil || !strings.Contains(err.Error(), "is not the pinned file") {
		t.Errorf("admit = %v", err)
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("a wrong file was admitted")
	}
	sum := sha256.Sum256([]byte("something else"))
	must(t, admit(from, to, hex.EncodeToString(sum[:])))
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("admitted file: %v %v", info, err)
	}
}

func TestStripSignaturesKeepsClasses(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a.jar"), filepath.Join(dir, "b.jar")
	var data bytes.Buffer
	w := zip.NewWriter(&data)
	for _, name := range []string{"META-INF/MANIFEST.MF", "META-INF/KEY.SF", "META-INF/KEY.RSA", "org/A.class", "META-INF/services/x.SF"} {
		f, err := w.Create(name)
		must(t, err)
		fmt.Fprint(f, name)
	}
	must(t, w.Close())
	must(t, os.WriteFile(from, data.Bytes(), 0o600))
	must(t, stripSignatures(from, to))
	r, err := zip.OpenReader(to)
	must(t, err)
	defer r.Close()
	var names []string
	for _, f := range r.File {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); got != "META-INF/MANIFEST.MF org/A.class META-INF/services/x.SF" {
		t.Errorf("left: %s", got)
	}
}

func TestPartOfAJar(t *testing.T) {
	dir := t.TempDir()
	whole, other := filepath.Join(dir, "sdk-1.jar"), filepath.Join(dir, "other.jar")
	file, err := os.Create(whole)
	must(t, err)
	w := zip.NewWriter(file)
	for _, name := range []string{"META-INF/MANIFEST.MF", "org/", "org/Core.class", "models/a.json", "org/services/Base.class", "org/services/s3/A.class", "org/services/sqs/B.class", "org/services/sqs/handlers"} {
		f, err := w.Create(name)
		must(t, err)
		fmt.Fprint(f, name)
	}
	must(t, errors.Join(w.Close(), file.Close()))
	in := &installer{Options: Options{Dir: dir, Out: &bytes.Buffer{}}, pins: pins{Parts: []part{{Artifact: "g:sdk:1", Below: "org/services/", Keep: []string{"s3"}, Drop: []string{"models/"}}}}}
	path, wholes, err := in.parts([]string{other, whole})
	must(t, err)
	if path[0] != other || !strings.HasPrefix(filepath.Base(path[1]), "sdk-1-part-") || !slices.Equal(wholes, []string{whole}) {
		t.Fatalf("class path %v, whole jars %v", path, wholes)
	}
	r, err := zip.OpenReader(path[1])
	must(t, err)
	defer r.Close()
	var names []string
	for _, f := range r.File {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); got != "META-INF/MANIFEST.MF org/Core.class org/services/Base.class org/services/s3/A.class org/services/sqs/handlers" {
		t.Errorf("the part has %s", got)
	}
	if _, _, err := in.parts([]string{other}); err == nil {
		t.Error("a jar that is not there has a part")
	}
}

// TestLambdas has a program in Python's place: the jar it writes is found again
// and goes before Spark's, and without it the class path is as it was.
func TestLambdas(t *testing.T) {
	dir, r := fakeRuntime(t)
	var out bytes.Buffer
	in := &installer{Options: Options{Dir: dir, Out: &out}}
	python := func(script string) {
		must(t, os.WriteFile(r.Python, []byte("#!/bin/sh\n"+script), 0o600))
		must(t, os.Chmod(r.Python, 0o700))
	}
	driver, spark := r.ClassPath[0], r.ClassPath[1]
	python("exit 1")
	must(t, in.lambdas(t.Context(), &r))
	if !slices.Equal(r.ClassPath, []string{driver, spark}) || !strings.Contains(out.String(), "warning: ") {
		t.Errorf("failed: class path %v, said %s", r.ClassPath, &out)
	}
	make := `test "$2 $3" = "glaux_training lambdas" && cp "$0".jar "$5"`
	writeJar(t, r.Python+".jar", "made")
	for _, script := range []string{make, "exit 1", make} { // the second time it is there, the third time it is damaged
		python(script)
		if script == make && len(r.ClassPath) == 3 {
			must(t, os.Truncate(r.ClassPath[1], 10))
		}
		r.ClassPath = []string{driver, spark}
		must(t, in.lambdas(t.Context(), &r))
		if len(r.ClassPath) != 3 || r.ClassPath[0] != driver || r.ClassPath[2] != spark {
			t.Fatalf("class path %v", r.ClassPath)
		}
		made, err := zip.OpenReader(r.ClassPath[1])
		must(t, err)
		must(t, made.Close())
	}
}

// TestLoadDoesWithoutLambdas: the jar of lambdas is for the archive alone.
func TestLoadDoesWithoutLambdas(t *testing.T) {
	dir, r := fakeRuntime(t)
	others := slices.Clone(r.ClassPath)
	lambdas := filepath.Join(dir, lambdaDir, "k.jar")
	must(t, os.Mkdir(filepath.Dir(lambdas), 0o700))
	writeJar(t, lambdas, "made")
	r.ClassPath = slices.Insert(r.ClassPath, 1, lambdas)
	writeManifest(t, r)
	got, err := Load(dir)
	must(t, err)
	if !slices.Equal(got.ClassPath, r.ClassPath) || got.Archive == "" {
		t.Errorf("class path %v, archive %q (%s)", got.ClassPath, got.Archive, got.Note)
	}
	must(t, os.Remove(lambdas))
	got, err = Load(dir)
	must(t, err)
	if !slices.Equal(got.ClassPath, others) || got.Archive != "" || !strings.Contains(got.Note, "other jars") {
		t.Errorf("without it: class path %v, archive %q (%s)", got.ClassPath, got.Archive, got.Note)
	}
}

// writeJar writes a jar with a single file.
func writeJar(t *testing.T, path, name string) {
	t.Helper()
	file, err := os.Create(path)
	must(t, err)
	w := zip.NewWriter(file)
	_, err = w.Create(name)
	must(t, err)
	must(t, w.Close())
	must(t, file.Close())
}

// fakeRuntime writes a manifest whose programs and jars exist.
func fakeRuntime(t *testing.T) (string, Runtime) {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(name), 0o600))
		return path
	}
	r := Runtime{Format: manifestFormat, Version: "v", Dir: dir, Java: file("java"), JavaVersion: "17", Python: file("python"), PythonPath: []string{dir},
		ClassPath: []string{file("a.jar"), file("b.jar")}, Archive: file("x.jsa"), Main: "glaux.Driver", Flags: []string{"-XX:+UseSerialGC"}}
	return dir, writeManifest(t, r)
}

// writeManifest writes a runtime's manifest with what its archive was made for.
func writeManifest(t *testing.T, r Runtime) Runtime {
	t.Helper()
	var err error
	r.ArchiveKey, err = archiveKey(r)
	must(t, err)
	r.ArchiveBytes, r.ArchiveSum, err = sumFile(r.Archive)
	must(t, err)
	data, err := json.Marshal(r)
	must(t, err)
	must(t, os.WriteFile(manifestPath(r.Dir), data, 0o600))
	return r
}

func TestLoad(t *testing.T) {
	if _, err := Load(t.TempDir()); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("empty directory: %v", err)
	}
	dir, want := fakeRuntime(t)
	got, err := Load(dir)
	must(t, err)
	if got.Archive != want.Archive || got.Note != "" || got.CheckArchive() != nil {
		t.Errorf("archive %q, note %q, check %v", got.Archive, got.Note, got.CheckArchive())
	}
	command := strings.Join(got.Command(1024, "/tmp/s", "/tmp/s/spark.json", []string{"-Dx=y"}, []string{"/f/i.jar"}), " ")
	for _, part := range []string{got.Java + " -XX:+UseSerialGC -Xmx1024m ", "-XX:SharedArchiveFile=" + got.Archive, " -Dx=y -cp " + strings.Join(got.ClassPath, ":") + ":/f/i.jar glaux.Driver"} {
		if !strings.Contains(command, part) {
			t.Errorf("command %q lacks %q", command, part)
		}
	}
}

func TestLoadSetsAsideAStaleArchive(t *testing.T) {
	dir, r := fakeRuntime(t)
	before, err := os.Stat(r.ClassPath[1])
	must(t, err)
	later := time.Now().Add(time.Hour)
	must(t, os.Chtimes(r.ClassPath[1], later, later))
	got, err := Load(dir)
	must(t, err)
	if got.Archive != "" || !strings.Contains(got.Note, "other jars") {
		t.Errorf("archive %q, note %q", got.Archive, got.Note)
	}
	if strings.Contains(strings.Join(got.Command(1, "t", "c", nil, nil), " "), "SharedArchiveFile") {
		t.Error("a stale archive is on the command line")
	}
	must(t, os.Chtimes(r.ClassPath[1], before.ModTime(), before.ModTime()))
	must(t, os.WriteFile(r.Archive, []byte("y.jsa"), 0o600))
	if got, err = Load(dir); err != nil || got.Archive == "" || got.CheckArchive() == nil {
		t.Errorf("damaged: archive %q, %v, and its check %v", got.Archive, err, got.CheckArchive())
	}
	must(t, os.Truncate(r.Archive, 3))
	if got, err = Load(dir); err != nil || got.Archive != "" || got.Note != "the start-up archive is damaged" {
		t.Errorf("cut: archive %q, note %q, %v", got.Archive, got.Note, err)
	}
	must(t, os.Remove(r.Archive))
	if got, err = Load(dir); err != nil || got.Note != "the start-up archive is gone" {
		t.Errorf("note %q, %v", got.Note, err)
	}
	must(t, os.Remove(r.ClassPath[0]))
	if _, err = Load(dir); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("with a jar gone: %v", err)
	}
}

func TestInstallRefusesWrongTools(t *testing.T) {
	dir := t.TempDir()
	java := script(t, dir, "java", `printf '    java.home = /opt/j\n    java.vm.version = 21.0.1\n    java.specification.version = 21\n' >&2`)
	err := Install(t.Context(), Options{Dir: filepath.Join(dir, "r"), Java: java})
	if err == nil || !strings.Contains(err.Error(), "needs Java 17") {
		t.Errorf("with Java 21: %v", err)
	}
	err = Install(t.Context(), Options{Dir: filepath.Join(dir, "r"), Java: filepath.Join(dir, "nothing")})
	if err == nil || !strings.Contains(err.Error(), "cannot find Java") {
		t.Errorf("without Java: %v", err)
	}
}

func TestFetchTriesAgainAndChecks(t *testing.T) {
	dir := t.TempDir()
	// Fails the first time, then writes the file that -DoutputDirectory asks for.
	maven := script(t, dir, "mvn", `[ -e "$0.again" ] || { touch "$0.again"; echo "no network" >&2; exit 1; }
for a; do case $a in -DoutputDirectory=*) printf jar > "${a#*=}/name-1.jar";; esac; done`)
	var out bytes.Buffer
	in := &installer{Options: Options{Dir: dir, Maven: maven, Out: &out}}
	sum := sha256.Sum256([]byte("jar"))
	must(t, in.fetch(t.Context(), "group:name:1", hex.EncodeToString(sum[:]), filepath.Join(dir, "name-1.jar")))
	if !strings.Contains(out.String(), "trying again") {
		t.Errorf("progress: %q", out.String())
	}
	if err := in.fetch(t.Context(), "group:name:1", strings.Repeat("0", 64), filepath.Join(dir, "name-1.jar")); err == nil {
		t.Error("a wrong checksum was accepted")
	}
}

func TestTwoInstallationsTakeTurns(t *testing.T) {
	dir := t.TempDir()
	first := &installer{Options: Options{Dir: dir, Out: &bytes.Buffer{}}}
	unlock, err := first.lock(t.Context())
	must(t, err)
	told := &notify{seen: make(chan struct{})}
	second := &installer{Options: Options{Dir: dir, Out: told}}
	got := make(chan error, 1)
	go func() {
		unlock, err := second.lock(t.Context())
		if err == nil {
			unlock()
		}
		got <- err
	}()
	<-told.seen
	unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
	// A cancelled one stops waiting.
	unlock, err = first.lock(t.Context())
	must(t, err)
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := second.lock(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

type notify struct {
	once sync.Once
	seen chan struct{}
}

func (n *notify) Write(p []byte) (int, error) {
	n.once.Do(func() { close(n.seen) })
	return len(p), nil
}

func TestReadableOpensATree(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "d"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "d", "f"), nil, 0o660))
	must(t, os.WriteFile(filepath.Join(dir, "d", "x"), nil, 0o700))
	must(t, readable(dir))
	for name, want := range map[string]os.FileMode{"d": 0o755, "d/f": 0o644, "d/x": 0o755} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s: %v", name, info.Mode())
		}
	}
}

func script(t *testing.T, dir, name, body string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700))
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
