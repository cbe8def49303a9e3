package local

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
)

// The test binary also plays the JVM and Python, chosen by its first argument.
const (
	playJVM    = "play-jvm"
	playPython = "play-python"
	playPip    = "play-pip"
)

// shimProgram is the real shim, built once by TestMain.
var shimProgram string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case playJVM:
			os.Exit(fakeJVM(os.Args[2:]))
		case playPython:
			os.Exit(fakePython())
		case playPip:
			os.Exit(fakePip(os.Args[2:]))
		}
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "glaux-local-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	shimProgram = filepath.Join(dir, "glaux-shim")
	if given := os.Getenv("GLAUX_TEST_SHIM"); given != "" {
		shimProgram = given // an ordinary user may have no build cache
	} else if out, err := exec.Command("go", "build", "-o", shimProgram, "glaux/cmd/glaux-shim").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("cannot build the shim: %v\n%s", err, out))
	}
	return m.Run()
}

// fakeRuntime is a Runtime of the two test programs.
func fakeRuntime() Runtime {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Runtime{
		Version: "test",
		JVM: func(heap int, temp, conf string, extra, jars []string) []string {
			return slices.Concat([]string{self, playJVM, fmt.Sprint(heap), temp, conf}, extra, jars)
		},
		Formats: map[string][]string{"iceberg": {self}, "hudi": {self, self + ".gone"}},
		Runner:  []string{self, playPython},
		Modules: []string{self, playPip},
		Env:     []string{"GLAUX_TEST=1"},
	}
}

type message map[string]any

// fakeJVM speaks the JVM's side of the driver protocol.
func fakeJVM(args []string) int {
	events, err := os.OpenFile("/dev/fd/3", os.O_WRONLY, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot open events:", err)
		return 4
	}
	send := func(m message) {
		b, _ := json.Marshal(m)
		events.Write(append(b, '\n'))
	}
	conf := map[string]string{}
	b, err := os.ReadFile(args[2])
	if err == nil {
		err = json.Unmarshal(b, &conf)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot read conf:", err)
		return 5
	}
	fmt.Fprintln(os.Stderr, "jvm begins")
	in := bufio.NewScanner(os.Stdin)
	wait := ""
	for _, a := range args {
		if of, ok := strings.CutPrefix(a, "-Dglaux.wait="); ok {
			wait = of
		}
	}
	claim := func() bool {
		send(message{"ev": "waiting"})
		for in.Scan() {
			if strings.Contains(in.Text(), `"claim"`) {
				fmt.Println("claimed by", in.Text())
				if conf["spark.test.unclaimable"] == "" {
					send(message{"ev": "claimed", "refused": conf["spark.test.refuse"]})
				}
				return true
			}
			if strings.Contains(in.Text(), `"stop"`) {
				return false
			}
		}
		return false
	}
	send(message{"ev": "gateway", "port": 1, "secret": "s"})
	if wait == "properties" {
		if !claim() {
			return 0
		}
		if b, err = os.ReadFile(args[2]); err != nil || json.Unmarshal(b, &conf) != nil {
			return 5
		}
	}
	if why, ok := conf[enginetest.FailProperty]; ok {
		send(message{"ev": "failed", "error": why, "detail": "stack"})
		return 1
	}
	serve := func() bool {
		l, err := net.Listen("unix", os.Getenv("GLAUX_CONNECT_SOCKET"))
		if err != nil {
			fmt.Fprintln(os.Stderr, "cannot bind connect socket:", err)
			return false
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "uid %d\n", os.Getuid())
				c.Close()
			}
		}()
		send(message{"ev": "connect"})
		return true
	}
	switch conf["spark.test.connect"] {
	case "":
		send(message{"ev": "connect"}) // so that nobody waits
	case "never":
		send(message{"ev": "connectFailed", "error": "no.such.Interceptor was not found"})
	case "late":
		time.AfterFunc(300*time.Millisecond, func() { serve() })
	default:
		if !serve() {
			return 6
		}
	}
	send(message{"ev": "context", "appId": conf["spark.app.id"], "version": "3.5.6"})
	send(message{"ev": "executor", "id": "driver", "host": "127.0.0.1", "cores": 1, "time": time.Now().UnixMilli()})
	if conf["spark.test.hang"] == "" {
		send(message{"ev": "ready"})
	}
	if wait == "context" && !claim() {
		return 0
	}
	if n := conf["spark.test.operations"]; n != "" {
		send(message{"ev": "operations", "running": json.Number(n), "ended": 1234})
	}
	if code := conf["spark.test.exit"]; code != "" {
		n := 0
		fmt.Sscan(code, &n)
		fmt.Fprintln(os.Stderr, "last words")
		return n
	}
	if conf["spark.test.deaf"] != "" {
		signal.Ignore(syscall.SIGTERM)
		select {}
	}
	var ui net.Listener
	for in.Scan() {
		if strings.Contains(in.Text(), `"stop"`) {
			break
		}
		var command struct {
			Op string
			N  int64
		}
		if json.Unmarshal(in.Bytes(), &command) == nil && command.Op == "ui" {
			if why := conf["spark.test.noui"]; why != "" {
				send(message{"ev": "uiFailed", "n": command.N, "error": why})
				continue
			}
			if ui == nil {
				if ui, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
					return 7
				}
				go http.Serve(ui, enginetest.UIHandler(os.Getenv("GLAUX_UI_SECRET")))
			}
			send(message{"ev": "ui", "n": command.N, "port": ui.Addr().(*net.TCPAddr).Port})
			continue
		}
		fmt.Println("command", in.Text())
	}
	return 0
}

// fakeRunner speaks the runner's side of the driver protocol.
type fakeRunner struct {
	conn *os.File
	mu   sync.Mutex
	cell string
	stop chan struct{} // closed to interrupt cell
}

func (r *fakeRunner) send(m message) {
	b, _ := json.Marshal(m)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
}

func fakePython() int {
	signal.Ignore(syscall.SIGINT)
	r := &fakeRunner{conn: os.NewFile(3, "control")}
	r.send(message{"ev": "imported"})
	for {
		var head [4]byte
		if _, err := io.ReadFull(r.conn, head[:]); err != nil {
			return 0
		}
		body := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(r.conn, body); err != nil {
			return 0
		}
		var m struct {
			Op, ID, Code string
			N            int64
			Argv         []string
		}
		if err := json.Unmarshal(body, &m); err != nil {
			return 8
		}
		switch m.Op {
		case "attach":
			r.send(message{"ev": "attached"})
		case "claim":
			r.send(message{"ev": "claimed"})
		case "run":
			stop := make(chan struct{})
			r.mu.Lock()
			r.cell, r.stop = m.ID, stop
			r.mu.Unlock()
			go r.run(m.ID, m.Code, stop)
		case "interrupt":
			r.mu.Lock()
			if r.cell == m.ID && r.stop != nil {
				close(r.stop)
				r.stop = nil
			}
			r.mu.Unlock()
		case "ping":
			r.send(message{"ev": "pong", "n": m.N})
		case "exit":
			return 0
		}
	}
}

// run plays one cell. Besides the suite's language it knows lines that try
// out what a real cell could do: "env NAME", "id", "touch PATH", "read PATH",
// "list DIR", "status FIELD", "orphan", "dial ADDRESS", "unix SOCKET",
// "kill PID" (and see it gone).
func (r *fakeRunner) run(id, code string, stop chan struct{}) {
	var script []string
	for line := range strings.Lines(code) {
		line = strings.TrimSpace(line)
		if !r.special(line) {
			script = append(script, line)
		}
	}
	s, err := enginetest.Parse(strings.Join(script, "\n"))
	if err != nil {
		s.Error = &engine.CellError{Name: "SyntaxError", Value: err.Error()}
	}
	io.WriteString(os.Stdout, s.Stdout)
	io.WriteString(os.Stderr, s.Stderr)
	for _, d := range s.Displays {
		r.send(message{"ev": "display", "id": id, "data": json.RawMessage(d)})
	}
	interrupted := false
	if s.Takes != 0 {
		var after <-chan time.Time
		if s.Takes > 0 {
			after = time.After(s.Takes)
		}
		if s.Stubborn {
			stop = nil
		}
		select {
		case <-after:
		case <-stop:
			interrupted = true
		}
	}
	if s.Crash != nil {
		os.Exit(s.Crash.Code)
	}
	done := message{"ev": "done", "id": id, "ok": true, "interrupted": false}
	switch {
	case interrupted:
		done["ok"], done["interrupted"] = false, true
		done["error"] = message{"name": "KeyboardInterrupt", "value": "", "traceback": []string{"KeyboardInterrupt"}}
	case s.Error != nil:
		done["ok"] = false
		done["error"] = message{"name": s.Error.Name, "value": s.Error.Value, "traceback": s.Error.Traceback}
		fmt.Fprintln(os.Stderr, strings.Join(s.Error.Traceback, "\n"))
	default:
		io.WriteString(os.Stdout, s.Late)
	}
	r.mu.Lock()
	r.cell, r.stop = "", nil
	r.mu.Unlock()
	r.send(done)
}

func (r *fakeRunner) special(line string) bool {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "env":
		fmt.Println(os.Getenv(rest))
	case "id":
		groups, _ := os.Getgroups()
		fmt.Println(os.Getuid(), os.Geteuid(), os.Getgid(), len(groups))
	case "user":
		u, err := user.Current()
		if err != nil {
			fmt.Println(err)
			break
		}
		g, err := user.LookupGroupId(u.Gid)
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(u.Username, g.Name)
	case "touch":
		fmt.Println(errorOf(os.WriteFile(rest, nil, 0o600)))
	case "read":
		_, err := os.ReadFile(rest)
		fmt.Println(errorOf(err))
	case "list":
		e, err := os.ReadDir(rest)
		fmt.Println(len(e), errorOf(err))
	case "status":
		b, _ := os.ReadFile("/proc/self/status")
		for l := range strings.Lines(string(b)) {
			if strings.HasPrefix(l, rest+":") {
				fmt.Print(l)
			}
		}
	case "orphan": // a process that leaves its group, its session and its parent
		cmd := exec.Command("/bin/sh", "-c", "sleep 300 & echo $!")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		pid := ""
		if err == nil {
			fmt.Fscan(out, &pid)
		}
		if err != nil {
			pid = err.Error()
		}
		fmt.Println(pid)
	case "kill":
		pid := 0
		fmt.Sscan(rest, &pid)
		syscall.Kill(pid, syscall.SIGKILL)
		for tick := time.NewTicker(time.Millisecond); syscall.Kill(pid, 0) == nil; <-tick.C {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if strings.Contains(string(b), ") Z ") {
				break
			}
		}
	case "unix":
		c, err := net.Dial("unix", rest)
		if err == nil {
			c.Close()
		}
		fmt.Println(errorOf(err))
	case "dial":
		c, err := net.Dial("tcp", rest)
		if err == nil {
			fmt.Fprint(c, "ping")
			c.(*net.TCPConn).CloseWrite()
			b, _ := io.ReadAll(c)
			fmt.Print(string(b), "\n")
			c.Close()
		} else {
			fmt.Println(err)
		}
	default:
		return false
	}
	return true
}

func errorOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, os.ErrPermission):
		return "denied"
	case errors.Is(err, os.ErrNotExist):
		return "missing"
	}
	return err.Error()
}
