// Package install puts the Spark runtime of sessions into a directory: a
// Python environment with Spark, the jars it lacks, the driver, and a start-up
// archive of the JVM, all pinned and checked.
package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Options says what to install and with which tools.
type Options struct {
	Dir    string    // where to; created when missing
	Parts  string    // directory of the build with glaux-driver.jar and python/; see Parts
	Java   string    // the java program; empty: "java" in PATH
	Python string    // a Python 3.11; empty: "python3.11" in PATH
	Maven  string    // the mvn program; empty: "mvn" in PATH. Needed only while jars are missing
	Out    io.Writer // progress, one line each; nil: none
}

// Parts returns the directory of this build's own parts, beside the program.
func Parts(executable string) string { return filepath.Join(filepath.Dir(executable), "runtime") }

// installer is one run of Install.
type installer struct {
	Options
	pins   pins
	java   javaInfo
	python string
	spark  string // the environment's pyspark directory
	quiet  bool   // nothing was done so far
}

// Install brings dir up to date: every step that an earlier run completed is
// kept, so that an interrupted installation resumes, and one that is complete
// returns within a second. Two at once take turns. A start-up archive that
// cannot be trained is a warning on Out, not an error. It blocks for minutes
// the first time; when ctx ends, it stops the programs it runs and returns.
func Install(ctx context.Context, o Options) error {
	in := &installer{Options: o, quiet: true}
	if in.Out == nil {
		in.Out = io.Discard
	}
	var err error
	if in.Dir, err = filepath.Abs(o.Dir); err != nil {
		return fmt.Errorf("cannot resolve %q: %w", o.Dir, err)
	}
	if in.pins, err = readPins(); err != nil {
		return err
	}
	if err := os.MkdirAll(in.Dir, 0o755); err != nil {
		return fmt.Errorf("cannot create the runtime directory: %w", err)
	}
	unlock, err := in.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return in.run(ctx)
}

func (in *installer) run(ctx context.Context) error {
	began := time.Now()
	if err := in.findTools(ctx); err != nil {
		return err
	}
	if err := in.environment(ctx); err != nil {
		return err
	}
	extra, err := in.jars(ctx)
	if err != nil {
		return err
	}
	extra, whole, err := in.parts(extra)
	if err != nil {
		return err
	}
	formats, err := in.formats(ctx)
	if err != nil {
		return err
	}
	unsigned, err := in.unsigned()
	if err != nil {
		return err
	}
	driver, runner, err := in.ownParts(ctx)
	if err != nil {
		return err
	}
	r := Runtime{
		Format:       manifestFormat,
		Dir:          in.Dir,
		Java:         in.java.program,
		JavaVersion:  in.java.version,
		Flags:        append(in.java.flags(), wholes+joinPaths(whole)),
		Main:         "glaux.Driver",
		Python:       filepath.Join(in.environmentDir(), "bin", "python"),
		PythonPath:   []string{runner},
		SparkHome:    in.spark,
		SparkVersion: in.pins.Spark,
		Formats:      formats,
	}
	if r.ClassPath, err = classPath(in.spark, driver, unsigned, extra); err != nil {
		return err
	}
	if err := in.lambdas(ctx, &r); err != nil {
		return err
	}
	r.Version = version(r)
	if r.ArchiveKey, err = archiveKey(r); err != nil {
		return fmt.Errorf("cannot examine the class path: %w", err)
	}
	if err := in.archive(ctx, &r); err != nil {
		return err
	}
	changed, err := in.writeManifest(r)
	if err != nil {
		return err
	}
	in.prune(r)
	if in.quiet && !changed {
		in.say("runtime %s is complete in %s", r.Version, in.Dir)
	} else {
		in.say("runtime %s installed in %s (%s)", r.Version, in.Dir, time.Since(began).Round(100*time.Millisecond))
	}
	return nil
}

// version names everything that runs inside a session: the pins, and by their
// content-named paths the driver and the runner.
func version(r Runtime) string {
	sum := sha256.New()
	sum.Write(pinsFile)
	sum.Write(requirements)
	for _, path := range []string{r.ClassPath[0], r.PythonPath[0]} {
		sum.Write([]byte(filepath.Base(path)))
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

// lock waits until no other installation works on the directory.
func (in *installer) lock(ctx context.Context) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(in.Dir, "install.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot lock the runtime directory: %w", err)
	}
	for told := false; ; told = true {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			file.Close()
			return nil, fmt.Errorf("cannot lock the runtime directory: %w", err)
		}
		if !told {
			in.say("another installation works in %s; waiting for it", in.Dir)
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (in *installer) writeManifest(r Runtime) (changed bool, err error) {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return false, err
	}
	path := manifestPath(in.Dir)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(data) {
		return false, nil
	}
	if err := writeFile(path, data); err != nil {
		return false, fmt.Errorf("cannot write the runtime's manifest: %w", err)
	}
	return true, nil
}

// say prints a line of progress.
func (in *installer) say(format string, args ...any) {
	fmt.Fprintf(in.Out, format+"\n", args...)
}

// step announces work that takes a while and returns what announces its end.
func (in *installer) step(format string, args ...any) (done func()) {
	in.quiet = false
	what := fmt.Sprintf(format, args...)
	in.say("%s …", what)
	began := time.Now()
	return func() { in.say("%s: done in %s", what, time.Since(began).Round(100*time.Millisecond)) }
}
