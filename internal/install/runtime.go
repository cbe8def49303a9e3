package install

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// manifestFormat is raised when a manifest of an older form can no longer be used.
const manifestFormat = 1

// Runtime is an installed runtime: what a launcher needs to start a session's
// JVM and Python. All paths are absolute. Everything in it may be read by any
// user and written by none of the sessions.
type Runtime struct {
	Format       int      `json:"format"`
	Version      string   `json:"version"`      // changes with anything that runs inside a session
	Dir          string   `json:"dir"`          // where it is installed
	Java         string   `json:"java"`         // the java program
	JavaVersion  string   `json:"javaVersion"`  // "17.0.15+6-Debian-1deb12u1"
	ClassPath    []string `json:"classPath"`    // order matters: the archive is valid for this order only
	Flags        []string `json:"flags"`        // JVM flags without heap and archive
	Main         string   `json:"main"`         // main class
	Archive      string   `json:"archive"`      // start-up archive; empty when there is none that is valid
	Note         string   `json:"-"`            // why Archive is empty; a sentence for people
	Python       string   `json:"python"`       // the python program of the environment
	PythonPath   []string `json:"pythonPath"`   // goes first in PYTHONPATH
	SparkHome    string   `json:"sparkHome"`    // SPARK_HOME
	SparkVersion string   `json:"sparkVersion"` // "3.5.6"

	// Formats are the jars of table formats, by format. They go behind ClassPath,
	// of which the archive knows only that it comes first.
	Formats map[string][]string `json:"formats"`

	ArchiveKey   string `json:"archiveKey"`             // what Archive was trained for
	ArchiveBytes int64  `json:"archiveBytes,omitempty"` // its size
	ArchiveSum   string `json:"archiveSum,omitempty"`   // its checksum; empty: an earlier release trained it
}

// ErrNotInstalled is returned by Load when the directory holds no complete runtime.
var ErrNotInstalled = errors.New("the Spark runtime is not installed; run: glaux runtime install")

// Load reads the runtime that Install has put into dir, and checks cheaply (a
// few milliseconds) that its programs are there and its archive is still the
// one for these jars and this Java. A stale archive is no error: Archive is
// empty and Note says why. Nor is it one that the jar of lambdas is gone, which
// only the archive needs: it is not on the class path then.
func Load(dir string) (Runtime, error) {
	data, err := os.ReadFile(manifestPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return Runtime{}, ErrNotInstalled
	}
	if err != nil {
		return Runtime{}, fmt.Errorf("cannot read the runtime's manifest: %w", err)
	}
	var r Runtime
	if err := json.Unmarshal(data, &r); err != nil {
		return Runtime{}, fmt.Errorf("cannot read the runtime's manifest: %w", err)
	}
	if r.Format != manifestFormat {
		return Runtime{}, ErrNotInstalled
	}
	for _, program := range []string{r.Java, r.Python} {
		if _, err := os.Stat(program); err != nil {
			return Runtime{}, fmt.Errorf("%s is gone (%w); run: glaux runtime install", program, ErrNotInstalled)
		}
	}
	r.ClassPath = slices.DeleteFunc(r.ClassPath, func(jar string) bool {
		_, err := os.Stat(jar)
		return filepath.Base(filepath.Dir(jar)) == lambdaDir && errors.Is(err, fs.ErrNotExist)
	})
	key, err := archiveKey(r)
	if err != nil {
		return Runtime{}, fmt.Errorf("a jar is gone (%w): %w", err, ErrNotInstalled)
	}
	switch info, err := os.Stat(r.Archive); {
	case r.Archive == "":
		r.Note = "no start-up archive was trained"
	case err != nil:
		r.Archive, r.Note = "", "the start-up archive is gone"
	case key != r.ArchiveKey:
		r.Archive, r.Note = "", "the start-up archive was made for other jars or another Java"
	case r.ArchiveSum != "" && info.Size() != r.ArchiveBytes:
		r.Archive, r.Note = "", "the start-up archive is damaged"
	}
	return r, nil
}

func manifestPath(dir string) string { return filepath.Join(dir, "runtime.json") }

// Command returns the program and arguments that start the driver's JVM.
//
// heapMiB is the limit of its heap. extra are the session's own JVM options
// (spark.driver.extraJavaOptions, split), placed last so that they win. temp
// is a directory of the session for the JVM's own files; conf a file of Spark
// properties that only the session's user can read: a JSON object of strings.
// jars are further ones of the runtime, such as those of Formats.
func (r Runtime) Command(heapMiB int, temp, conf string, extra, jars []string) []string {
	argv := append([]string{r.Java}, r.Flags...)
	argv = append(argv, "-Xmx"+strconv.Itoa(heapMiB)+"m", "-XX:+ExitOnOutOfMemoryError",
		"-Djava.io.tmpdir="+temp, "-Duser.home="+temp, "-Dglaux.conf="+conf)
	argv = append(argv, r.archiveFlags()...)
	argv = append(argv, extra...)
	return append(argv, "-cp", joinPaths(slices.Concat(r.ClassPath, jars)), r.Main)
}

// historyMain is the main class that shows the Spark UIs of ended sessions.
const historyMain = "glaux.HistoryServer"

// History returns the program and arguments that start the JVM which shows the
// Spark UIs of sessions that are over. heapMiB is the limit of its heap, temp a
// directory for its own files. The start-up archive is the drivers'.
func (r Runtime) History(heapMiB int, temp string) []string {
	argv := append([]string{r.Java}, r.Flags...)
	argv = append(argv, "-Xmx"+strconv.Itoa(heapMiB)+"m", "-XX:+ExitOnOutOfMemoryError", "-Djava.io.tmpdir="+temp, "-Duser.home="+temp)
	argv = append(argv, r.archiveFlags()...)
	return append(argv, "-cp", r.classPath(), historyMain)
}

// OutOfMemory is the exit status of a JVM started by Command whose heap was exhausted.
const OutOfMemory = 3

// Env returns the environment, NAME=value, that both the JVM and the runner
// need from the runtime. The session's own PYTHONPATH entries go behind these.
func (r Runtime) Env() []string {
	return []string{
		"SPARK_HOME=" + r.SparkHome,
		"SPARK_LOCAL_IP=127.0.0.1",
		"PYSPARK_PYTHON=" + r.Python,
		"PYSPARK_DRIVER_PYTHON=" + r.Python,
		"PYTHONPATH=" + joinPaths(r.PythonPath),
		"PYTHONUNBUFFERED=1",
		"MALLOC_ARENA_MAX=2",
		"MPLBACKEND=module://glaux_runner.figures",
	}
}

// Runner returns the program and arguments that start the Python runner.
func (r Runtime) Runner() []string { return []string{r.Python, "-m", "glaux_runner"} }

// Modules returns the program and arguments that install the Python packages
// of one session; a command goes behind them, and a JSON object to its input.
func (r Runtime) Modules() []string { return []string{r.Python, "-m", "glaux_modules"} }

func (r Runtime) archiveFlags() []string {
	if r.Archive == "" {
		return nil
	}
	return []string{"-XX:SharedArchiveFile=" + r.Archive, "-Xlog:cds=off", "-Xlog:cds+dynamic=off", "-Dglaux.archive=" + r.Archive}
}

func (r Runtime) classPath() string { return joinPaths(r.ClassPath) }
