package enginetest

import (
	"fmt"
	"strings"
	"time"

	"glaux/internal/engine"
)

// Dialect writes cells for the suite in whatever language a driver runs. Each
// function returns lines of code; lines may be joined into one cell.
type Dialect struct {
	Print    func(text string) string              // a line on stdout
	PrintErr func(text string) string              // a line on stderr
	Fill     func(n int) string                    // n bytes on stdout
	Sleep    func(d time.Duration) string          // interruptible
	Late     func(text string) string              // a line on stdout after Sleep
	Forever  func() string                         // busy until interrupted
	Stubborn func(text string) string              // a line on stdout, by then busy for ever, whatever interrupts it
	Raise    func(name, value string) string       // fail
	Crash    func(code int) string                 // the interpreter exits
	Display  func(text string) string              // text becomes the text/plain of a display
	FailWith func(spec *engine.Spec) (hint string) // makes the start fail; the cause holds hint
}

// Scripted is the dialect of the fake and of the test programs.
func Scripted() Dialect {
	return Dialect{
		Print:    func(s string) string { return "out " + s },
		PrintErr: func(s string) string { return "err " + s },
		Fill:     func(n int) string { return fmt.Sprintf("fill %d", n) },
		Sleep:    func(d time.Duration) string { return "sleep " + d.String() },
		Late:     func(s string) string { return "late " + s },
		Forever:  func() string { return "forever" },
		Stubborn: func(s string) string { return lines("stubborn", "out "+s, "forever") },
		Raise:    func(name, value string) string { return "raise " + name + " " + value },
		Crash:    func(code int) string { return fmt.Sprintf("crash %d", code) },
		Display:  func(s string) string { return fmt.Sprintf(`display {"text/plain":%q}`, s) },
		FailWith: func(spec *engine.Spec) string {
			spec.Properties = map[string]string{FailProperty: "no such class: Nope"}
			return "no such class: Nope"
		},
	}
}

// FailProperty makes a start fail with its value, by the fake's FailByProperty
// and by the test programs.
const FailProperty = "spark.test.fail"

// FailByProperty is an OnLaunch of the fake that honours FailProperty.
func FailByProperty(spec engine.Spec) Start {
	if why, ok := spec.Properties[FailProperty]; ok {
		return Start{Fail: &engine.StartError{Cause: why, Exit: engine.Exit{Code: 1, Process: "java"}}}
	}
	return Start{}
}

// Python is the dialect of a real driver.
func Python() Dialect {
	return Dialect{
		Print:    func(s string) string { return fmt.Sprintf("print(%q, flush=True)", s) },
		PrintErr: func(s string) string { return fmt.Sprintf("import sys; print(%q, file=sys.stderr, flush=True)", s) },
		Fill:     func(n int) string { return fmt.Sprintf("import sys; _ = sys.stdout.write('x' * %d)", n) },
		Sleep:    func(d time.Duration) string { return fmt.Sprintf("import time; time.sleep(%g)", d.Seconds()) },
		Late:     func(s string) string { return fmt.Sprintf("print(%q, flush=True)", s) },
		Forever:  func() string { return "while True: pass" },
		// A loop in C that keeps the interpreter's lock. The interrupt may come
		// before it is entered.
		Stubborn: func(s string) string {
			return lines("said = False",
				"while True:",
				"  try:",
				"    if not said:",
				fmt.Sprintf("      said = True; print(%q, flush=True)", s),
				"    __import__('collections').deque(__import__('itertools').repeat(0), maxlen=0)",
				"  except KeyboardInterrupt:",
				"    pass")
		},
		Raise:   func(name, value string) string { return fmt.Sprintf("raise %s(%q)", name, value) },
		Crash:   func(code int) string { return fmt.Sprintf("import os; os._exit(%d)", code) },
		Display: func(s string) string { return fmt.Sprintf("%q", s) },
		FailWith: func(spec *engine.Spec) string {
			spec.Properties = map[string]string{"spark.serializer": "no.such.Serializer"}
			return "no.such.Serializer"
		},
	}
}

func lines(l ...string) string { return strings.Join(l, "\n") }
