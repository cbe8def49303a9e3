package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"glaux/internal/engine"
	"glaux/internal/sandbox"
	"glaux/internal/shim"
	"glaux/internal/supervise"
)

// start makes the session's directories and sockets, writes its spec and
// starts its shim.
func (l *Launcher) start(ctx context.Context, spec engine.Spec) (err error) {
	dir, work := l.dir(spec.Key), filepath.Join(l.dir(spec.Key), "work")
	s := shim.Spec{
		Version: shim.Version, Key: string(spec.Key), Epoch: spec.Epoch, Dir: dir,
		Socket: l.socket(spec.Key), Agent: l.cfg.Agent, Connect: l.connectSocket(spec.Key),
		Language: string(spec.Language), Display: string(spec.Display), Notes: spec.Notes,
		Wait: string(spec.Wait),
		Args: spec.Args, MaxOutput: spec.MaxOutput, MaxLog: spec.MaxLog, Orphaned: spec.Orphaned, Sandboxed: isolated(),
	}
	address, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("cannot bind the session's address: %w", err)
	}
	defer address.Close()
	s.Port = address.Addr().(*net.TCPAddr).Port
	at := place{work: work, endpoint: endpoint(s.Port), secret: secret()}

	properties, err := given(spec, at)
	if err != nil {
		return &engine.StartError{Cause: err.Error()}
	}
	if err := l.commands(&s, spec, properties, at); err != nil {
		return &engine.StartError{Cause: err.Error()}
	}
	if err := l.settle(&s, spec, work, properties); err != nil {
		return fmt.Errorf("cannot launch driver: %w", err)
	}
	group := l.confine(&s, spec, properties)
	defer func() {
		if err != nil {
			_ = group.Remove(0) // nothing is in it
		}
	}()
	socket, err := bind(s.Socket)
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }() // the shim has its own
	if err := writeFile(filepath.Join(dir, shim.SpecFile), s, -1); err != nil {
		return fmt.Errorf("cannot write the session's spec: %w", err)
	}
	return l.detach(ctx, s, address.(*net.TCPListener), socket)
}

// given are all Spark properties of a driver.
func given(spec engine.Spec, at place) (map[string]string, error) {
	properties, err := merge(spec, defaults(spec, at))
	if err == nil && len(spec.Files) > 0 {
		properties[workFiles] = strings.Join(spec.Files, ",")
	}
	return properties, err
}

// commands fills in what the two processes are started with.
func (l *Launcher) commands(s *shim.Spec, spec engine.Spec, properties map[string]string, at place) error {
	heap, err := HeapMiB(properties, spec.HeapMiB)
	if err != nil {
		return err
	}
	if most := l.cfg.Memory; most > 0 && heap > most {
		return fmt.Errorf("spark.driver.memory cannot be %q: this machine has %dm", properties["spark.driver.memory"], most)
	}
	extra, err := javaOptions(properties)
	if err != nil {
		return err
	}
	extra = append([]string{fmt.Sprintf("-XX:ActiveProcessorCount=%d", threadsFor(spec.Cores))}, extra...)
	if spec.EventLog != "" {
		extra = append(extra, fmt.Sprintf("-Dglaux.eventlog.max=%d", maxEventLog))
	}
	if spec.Language == engine.Scala {
		extra = append(extra, "-Dglaux.language="+string(spec.Language))
	}
	if spec.Wait != "" {
		extra = append(extra, "-Dglaux.wait="+string(spec.Wait))
	}
	temp := filepath.Join(at.work, "tmp")
	rt := l.cfg.Runtime
	jars, err := rt.jars(spec.Formats)
	if err != nil {
		return err
	}
	jvm := rt.JVM(heap, temp, confFile(at.work), extra, jars)
	env := l.environment(spec, at)
	python := env.list()
	if path := properties["spark.driver.extraLibraryPath"]; path != "" {
		env.set("LD_LIBRARY_PATH", path)
	}
	if len(spec.Modules.Specs) > 0 {
		if len(rt.Modules) == 0 {
			return errors.New("the Spark runtime that is installed cannot install Python packages; run: glaux runtime install")
		}
		s.Modules = &shim.Modules{
			Installer: rt.Modules, Specs: spec.Modules.Specs, Options: spec.Modules.Options, Env: l.cfg.Pip.Env, Config: l.cfg.Pip.Files,
			Cache: filepath.Join(l.cfg.Data, "modules"), Runtime: rt.Version + " " + rt.Runner[0],
		}
	}
	env.set("GLAUX_CONNECT_SOCKET", s.Connect)
	for _, name := range secretNames() {
		env.set(name, secret())
	}
	s.JVM = shim.Command{Path: jvm[0], Args: jvm[1:], Env: env.list(), Dir: at.work}
	s.Python = shim.Command{Path: rt.Runner[0], Args: rt.Runner[1:], Env: python, Dir: at.work}

	s.Writable = []string{at.work, filepath.Dir(s.Connect)}
	if spec.EventLog != "" {
		s.Writable = append(s.Writable, spec.EventLog)
	}
	s.ReadOnly = append(s.ReadOnly, rt.Needs...)
	s.ReadOnly = append(s.ReadOnly, sandbox.Prefix(rt.Runner[0])...)
	s.ReadOnly = append(s.ReadOnly, sandbox.Prefix(jvm[0])...)
	return nil
}

// threadsFor is how many processors a JVM sizes its pools of threads for:
// those of its task slots, and two at least, so that the compiler works beside
// a task. On a large machine it would make them for all of it.
func threadsFor(cores int) int { return min(max(2, cores), runtime.NumCPU()) }

// jars are those of the table formats that a session asks for.
func (rt *Runtime) jars(formats []string) ([]string, error) {
	var all []string
	for _, f := range formats {
		of := rt.Formats[f]
		if len(of) == 0 || slices.ContainsFunc(of, missing) { // Java says nothing of a jar that is not there
			return nil, fmt.Errorf("the Spark runtime that is installed lacks jars of %s; run: glaux runtime install", f)
		}
		all = append(all, of...)
	}
	return all, nil
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return err != nil
}

// workFiles is the property that tells the driver jar what to fetch into the
// work directory.
const workFiles = "spark.glaux.files"

func confFile(work string) string { return filepath.Join(work, ".spark.json") }

// environment is what both processes see. Nothing of the server's own
// environment is in it.
func (l *Launcher) environment(spec engine.Spec, at place) *environment {
	rt, env := l.cfg.Runtime, &environment{}
	env.set("PATH", strings.Join([]string{filepath.Dir(rt.Runner[0]), "/usr/local/bin", "/usr/bin", "/bin"}, ":"))
	env.set("LANG", "C.UTF-8")
	env.set("HOME", at.work)
	env.set("TMPDIR", filepath.Join(at.work, "tmp"))
	env.add(l.cfg.Env)
	env.add(rt.Env)
	env.set("AWS_REGION", spec.Region)
	env.set("AWS_DEFAULT_REGION", spec.Region)
	env.set("AWS_ENDPOINT_URL", at.endpoint)
	env.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", at.endpoint+"/_glaux/credentials/"+string(spec.Key))
	env.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", spec.AgentToken)
	env.set("AWS_EC2_METADATA_DISABLED", "true")
	env.set("AWS_ALLOW_HTTP", "true")
	for k, v := range spec.Env {
		if old := env.get(k); k == "PYTHONPATH" && old != "" {
			v = old + ":" + v // the runtime's modules stay first
		}
		env.set(k, v)
	}
	return env
}

// environment is an ordered set of variables.
type environment struct {
	names  []string
	values map[string]string
}

func (e *environment) set(name, value string) {
	if e.values == nil {
		e.values = map[string]string{}
	}
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environment) get(name string) string { return e.values[name] }

func (e *environment) add(list []string) {
	for _, v := range list {
		if name, value, ok := strings.Cut(v, "="); ok {
			e.set(name, value)
		}
	}
}

func (e *environment) list() []string {
	out := make([]string, 0, len(e.names))
	for _, n := range e.names {
		out = append(out, n+"="+e.values[n])
	}
	return out
}

// confine makes the control group of the session's processes. A session that
// cannot have one runs without, as all do where there are none.
func (l *Launcher) confine(s *shim.Spec, spec engine.Spec, properties map[string]string) *sandbox.Group {
	if l.cfg.Groups == (sandbox.Groups{}) {
		return nil
	}
	limits := sandbox.Limits{Cores: max(1, spec.Cores)}
	if heap, err := HeapMiB(properties, spec.HeapMiB); err == nil && l.cfg.Beyond > 0 {
		limits.Memory = heap + l.cfg.Beyond
	}
	group, err := l.cfg.Groups.Make(string(spec.Key), limits)
	if err != nil {
		l.cfg.Log.Warn("a session runs without a control group", "session", spec.Key, "err", err)
		return nil
	}
	s.Group = (*shim.Group)(group)
	return group
}

// settle gives the session a user and directories of its own.
func (l *Launcher) settle(s *shim.Spec, spec engine.Spec, work string, properties map[string]string) error {
	if s.Sandboxed {
		l.uids.Lock()
		defer l.uids.Unlock()
		uid, err := l.chooseUID(spec.Key)
		if err != nil {
			return err
		}
		s.UID = uid
	}
	return l.directories(s, work, spec.EventLog, properties)
}

// directories makes what the session's processes write to, and gives it to
// their user.
func (l *Launcher) directories(s *shim.Spec, work, eventLog string, properties map[string]string) error {
	uid := -1
	if s.Sandboxed {
		uid = s.UID
	}
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Dir(s.Socket), 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	for _, d := range []string{work, filepath.Join(work, "tmp"), filepath.Dir(s.Connect)} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
		if uid >= 0 {
			if err := os.Chown(d, uid, uid); err != nil {
				return err
			}
		}
	}
	if eventLog != "" {
		if err := outliving(eventLog, uid); err != nil {
			return err
		}
	}
	if uid >= 0 {
		if err := sandbox.WriteNames(s.Dir, uid, "glaux", work); err != nil {
			return err
		}
	}
	return writeFile(confFile(work), properties, uid)
}

// outliving makes a directory of the session that is not removed with it, for
// its user alone. Others pass through the one above it, and read nothing there.
func outliving(dir string, uid int) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o711); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if uid >= 0 {
		return os.Chown(dir, uid, uid)
	}
	return nil
}

// bind makes the shim's socket, which only our own user can open.
func bind(path string) (*net.UnixListener, error) {
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot bind the shim's socket: %w", err)
	}
	socket.SetUnlinkOnClose(false) // the shim has it then
	if err := os.Chmod(path, 0o600); err != nil {
		_ = socket.Close()
		return nil, fmt.Errorf("cannot protect the shim's socket: %w", err)
	}
	return socket, nil
}

// detach starts the shim with its listeners. The process started here only
// starts it and ends, so that the shim is no child of ours.
func (l *Launcher) detach(ctx context.Context, s shim.Spec, address *net.TCPListener, socket *net.UnixListener) error {
	af, err := address.File()
	if err != nil {
		return fmt.Errorf("cannot pass the session's address: %w", err)
	}
	defer af.Close()
	sf, err := socket.File()
	if err != nil {
		return fmt.Errorf("cannot pass the shim's socket: %w", err)
	}
	defer sf.Close()
	cmd := exec.CommandContext(ctx, l.shim, "start", filepath.Join(s.Dir, shim.SpecFile))
	cmd.Dir = "/"
	cmd.Env = []string{supervise.MarkOf(s.Key)}
	cmd.ExtraFiles = []*os.File{af, sf} // descriptors shim.FDAddress and shim.FDSocket
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot start the shim: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// writeFile replaces a file atomically by v as JSON, readable by its owner
// only: the uid, or ours when that is negative.
func writeFile(path string, v any, uid int) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is there after the rename
	_, err = f.Write(b)
	if err == nil && uid >= 0 {
		err = f.Chown(uid, uid)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
