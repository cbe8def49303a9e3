package supervise

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"glaux/internal/shim"
)

// piped is a pump that runs, and the end of its pipe that a process would hold.
func piped(t *testing.T, wg *sync.WaitGroup, log io.Writer) (*pump, *os.File) {
	t.Helper()
	ours, theirs, err := pipe(-1)
	if err != nil {
		t.Fatal(err)
	}
	p := &pump{from: ours, log: log}
	wg.Go(p.run)
	t.Cleanup(func() { theirs.Close() })
	return p, theirs
}

func TestOutputOfTheJVMIsTheCellsInScala(t *testing.T) {
	for language, want := range map[string]string{"": "py\n", "scala": "py\njvm\n"} {
		t.Run("language "+language, func(t *testing.T) {
			dir := t.TempDir()
			var wg sync.WaitGroup
			var log bytes.Buffer
			pyOut, py := piped(t, &wg, io.Discard)
			pyErr, pyE := piped(t, &wg, io.Discard)
			jvmOut, jvmO := piped(t, &wg, &log)
			jvmErr, jvmE := piped(t, &wg, io.Discard)
			s := &Supervisor{spec: shim.Spec{Language: language}, python: &python{out: pyOut, err: pyErr}, jvm: &jvm{out: jvmOut, err: jvmErr}}
			c := &cell{id: "c1", spools: map[string]*Spool{
				shim.Stdout: NewSpool(filepath.Join(dir, "out"), 1<<20), shim.Stderr: NewSpool(filepath.Join(dir, "err"), 1<<20),
			}}
			s.routeLocked(c)
			io.WriteString(py, "py\n")
			s.sync()
			io.WriteString(jvmO, "jvm\n")
			io.WriteString(jvmE, "WARN of Spark\n")
			s.sync()
			s.routeLocked(nil)
			io.WriteString(jvmO, "late\n")
			jvmOut.sync()
			jvmErr.sync()
			for _, sp := range c.spools {
				sp.Close(true)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "out")); err != nil || string(b) != want {
				t.Errorf("the cell's standard output is %q, %v", b, err)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "err")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the cell's standard error is %q, %v", b, err)
			}
			for _, f := range []*os.File{py, pyE, jvmO, jvmE} {
				f.Close()
			}
			wg.Wait()
			if log.String() != "jvm\nlate\n" { // the log has the beginning of every stream
				t.Errorf("the log of the JVM is %q", log.String())
			}
		})
	}
}
