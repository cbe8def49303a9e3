// Package doctor checks what a machine needs for sessions, and says how to get
// what is missing.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"time"

	"glaux/internal/install"
	"glaux/internal/machine"
)

// Result is the outcome of one check.
type Result string

// The outcomes.
const (
	OK      Result = "ok"
	Warning Result = "warning" // Glaux works, with less than it could
	Missing Result = "missing" // sessions do not work
)

// Check is one thing that was looked at.
type Check struct {
	Name   string // "Java 17"
	Result Result
	Detail string // what was found
	Fix    string // what to do about it; empty when OK
}

// Options says what to check for.
type Options struct {
	Runtime string   // the runtime's directory
	DataDir string   // the server's data directory; need not exist
	Java    string   // as in install.Options
	Python  string   // as in install.Options
	Maven   string   // as in install.Options
	Listen  []string // addresses the server wants to listen on; one in use is a warning
	Connect string   // address of Spark Connect; empty: 127.0.0.1:443 if it may be; "off": none

	Reserve  int                     // what an idle session is counted for, MiB
	Headroom func(memoryMiB int) int // what a start leaves of so much memory, MiB
}

// Run makes every check, in the order they are printed. It starts short-lived
// programs and takes about a second.
func Run(ctx context.Context, o Options) []Check {
	checks := []Check{
		java(ctx, o),
		python(ctx, o),
		runtime(o),
		maven(o),
	}
	for _, address := range o.Listen {
		checks = append(checks, port(ctx, address))
	}
	checks = append(checks, connect(ctx, o.Connect)...)
	have := machine.Reader{}.Read()
	checks = append(checks, memory(have, o.Reserve, o.Headroom(have.Total)), attributes(o.DataDir))
	return append(checks, isolation()...)
}

// Print writes one line per check, with the way out below those that are not
// OK, and reports whether sessions can run.
func Print(w io.Writer, checks []Check) bool {
	good := true
	for _, c := range checks {
		fmt.Fprintf(w, "%-8s %-22s %s\n", c.Result, c.Name, c.Detail)
		if c.Result != OK && c.Fix != "" {
			fmt.Fprintf(w, "%-8s %-22s → %s\n", "", "", c.Fix)
		}
		good = good && c.Result != Missing
	}
	return good
}

func java(ctx context.Context, o Options) Check {
	c := Check{Name: "Java 17", Result: Missing, Fix: "install a JDK 17 (Debian: apt-get install openjdk-17-jdk-headless) and put it first in PATH, or set JAVA_HOME"}
	path, major, version, err := install.AskJava(ctx, o.Java)
	switch {
	case err != nil:
		c.Detail = firstLine(err.Error())
	case major != 17:
		c.Detail = fmt.Sprintf("found Java %d at %s; Spark 3.5 needs 17", major, path)
	default:
		return Check{Name: c.Name, Result: OK, Detail: version + " at " + path}
	}
	return c
}

func python(ctx context.Context, o Options) Check {
	c := Check{Name: "Python 3.11", Result: Missing, Fix: "install Python 3.11 with its venv module (Debian: apt-get install python3.11 python3.11-venv)"}
	path, version, err := install.AskPython(ctx, o.Python)
	switch {
	case err != nil:
		c.Detail = firstLine(err.Error())
	case version != "3.11":
		c.Detail = fmt.Sprintf("found Python %s at %s; sessions run on 3.11", version, path)
	default:
		return Check{Name: c.Name, Result: OK, Detail: path}
	}
	return c
}

func runtime(o Options) Check {
	c := Check{Name: "Spark runtime", Result: Missing, Fix: "run: glaux runtime install --dir " + o.Runtime}
	r, err := install.Load(o.Runtime)
	switch {
	case errors.Is(err, install.ErrNotInstalled):
		c.Detail = "not installed in " + o.Runtime
	case err != nil:
		c.Detail = firstLine(err.Error())
	case r.Archive == "":
		c.Result, c.Detail = Warning, fmt.Sprintf("Spark %s in %s, but %s: sessions start slower", r.SparkVersion, r.Dir, r.Note)
	default:
		return Check{Name: c.Name, Result: OK, Detail: fmt.Sprintf("Spark %s, version %s, start-up archive trained, in %s", r.SparkVersion, r.Version, r.Dir)}
	}
	return c
}

func maven(o Options) Check {
	program := o.Maven
	if program == "" {
		program = "mvn"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return Check{Name: "Maven", Result: Warning, Detail: "not found; only installing the runtime needs it", Fix: "install Maven (Debian: apt-get install maven)"}
	}
	return Check{Name: "Maven", Result: OK, Detail: path}
}

func port(ctx context.Context, address string) Check {
	c := Check{Name: "port " + address, Result: OK, Detail: "free"}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		c.Result, c.Detail = Warning, firstLine(err.Error())
		c.Fix = "a server runs already, or another program uses the address: choose one with --listen"
		return c
	}
	listener.Close()
	return c
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
