package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

//go:embed plain.py
var plain string

// plainSpark is a running plain pyspark: the peer of a session.
type plainSpark struct {
	cmd            *exec.Cmd
	in             io.WriteCloser
	lines          *bufio.Scanner
	session, count time.Duration // from the start of the process to getOrCreate's and the first count's end
}

// startPlain runs plain pyspark in a fresh Python with Spark properties, each
// NAME=VALUE, and returns it when its first count is done.
func startPlain(ctx context.Context, o options, properties ...string) (*plainSpark, error) {
	cmd := exec.CommandContext(ctx, o.python, append([]string{"-c", plain}, properties...)...)
	cmd.Env = append(os.Environ(), "PYSPARK_PYTHON="+o.python) // its workers, as those of sessions
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p := &plainSpark{cmd: cmd, in: in, lines: bufio.NewScanner(out)}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := p.await("session"); err != nil {
		return nil, err
	}
	p.session = time.Since(began)
	if err := p.await("count"); err != nil {
		return nil, err
	}
	p.count = time.Since(began)
	return p, nil
}

// await reads lines up to the wanted one.
func (p *plainSpark) await(want string) error {
	for p.lines.Scan() {
		if p.lines.Text() == want {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("plain pyspark ended before it said %q", want), p.lines.Err(), p.cmd.Wait())
}

// run executes a block of code.
func (p *plainSpark) run(code string) error {
	line, err := json.Marshal(code)
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return err
	}
	return p.await("done")
}

// pid returns the process that all of the peer's processes are below.
func (p *plainSpark) pid() int { return p.cmd.Process.Pid }

// stop ends the peer.
func (p *plainSpark) stop() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }
