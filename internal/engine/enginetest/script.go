package enginetest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"glaux/internal/engine"
)

// Start says how a fake driver starts. The zero value is prepared at once.
type Start struct {
	Refuse    error              // Launch itself returns it and nothing is started
	Scheduled time.Duration      // time from Launch until the process runs
	Preparing time.Duration      // time from there until cells can run
	Hang      bool               // never prepared
	Fail      *engine.StartError // how it ends instead of being prepared
	StopTakes time.Duration      // how long Stop takes politely; a Stop whose context ends first forces it
}

// Script says how a fake cell runs. Its parts happen in the order of the
// fields. The zero value succeeds at once without output.
type Script struct {
	Stdout   string          // written at once
	Stderr   string          // written at once
	Displays []string        // JSON objects, one line each, written at once
	Tasks    engine.Tasks    // shown while the cell runs
	Takes    time.Duration   // then it runs for so long; negative: until interrupted
	Hold     <-chan struct{} // then until this is closed
	Late     string          // then this goes to stdout

	Error *engine.CellError // the cell fails with it
	Crash *engine.Exit      // the driver ends under the cell with it

	Truncated map[engine.Stream]int64 // reported in the result

	// InterruptTakes is how long an Interrupt takes to end the cell.
	InterruptTakes time.Duration
	// Stubborn ignores Interrupt: after Judged the driver is not responsive,
	// after Killed the cell is Cancelled and the driver ends.
	Stubborn bool
}

// The ladder of a stubborn cell, counted from Interrupt.
const (
	Judged = 2 * time.Second
	Killed = 5 * time.Second
)

// Parse reads a script in the small language that cells of the fake (and of
// the test programs that stand in for Python) are written in, one step a line:
//
//	out TEXT | err TEXT     a line on stdout or stderr
//	display JSON            a display
//	fill N                  N bytes of 'x' on stdout
//	tasks DONE TOTAL        progress of Spark tasks
//	sleep DURATION          run for so long
//	forever                 run until interrupted
//	stubborn                ignore interrupts from here on
//	late TEXT               a line on stdout after sleeping
//	raise NAME VALUE        fail
//	crash CODE              the interpreter exits with the status
//
// An empty line and one that starts with # do nothing.
func Parse(code string) (Script, error) {
	var s Script
	for line := range strings.Lines(code) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "" || strings.HasPrefix(word, "#") {
			continue
		}
		if err := s.step(word, rest); err != nil {
			return s, fmt.Errorf("cannot parse script line %q: %w", strings.TrimSpace(line), err)
		}
	}
	return s, nil
}

func (s *Script) step(word, rest string) (err error) {
	switch word {
	case "out":
		s.Stdout += rest + "\n"
	case "err":
		s.Stderr += rest + "\n"
	case "display":
		s.Displays = append(s.Displays, rest)
	case "late":
		s.Late += rest + "\n"
	case "fill":
		n, err := strconv.Atoi(rest)
		if err != nil {
			return err
		}
		s.Stdout += strings.Repeat("x", n)
	case "tasks":
		_, err = fmt.Sscan(rest, &s.Tasks.Done, &s.Tasks.Total)
	case "sleep":
		s.Takes, err = time.ParseDuration(rest)
	case "forever":
		s.Takes = -1
	case "stubborn":
		s.Stubborn = true
	case "raise":
		name, value, _ := strings.Cut(rest, " ")
		s.Error = &engine.CellError{Name: name, Value: value, Traceback: []string{`  File "<stdin>", line 1, in <module>`, name + ": " + value}}
	case "crash":
		code, err := strconv.Atoi(rest)
		if err != nil {
			return err
		}
		s.Crash = &engine.Exit{Code: code, Process: "python", Tail: []string{"crashed as scripted"}}
	default:
		err = fmt.Errorf("unknown step %q", word)
	}
	return err
}
