package server

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/machine"
)

// TestPressure reads a machine of files.
func TestPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		say := func(name, text string, values ...any) {
			t.Helper()
			path := filepath.Join(root, "proc", name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, fmt.Appendf(nil, text, values...), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		memory := func(available int, stalls float64) {
			say("meminfo", "MemTotal: %d kB\nMemAvailable: %d kB\n", 8192<<10, available<<10)
			say("pressure/memory", "full avg10=%.2f avg60=0 avg300=0 total=1\n", stalls)
		}
		processors := func(waited float64) { say("pressure/cpu", "some avg10=%.2f avg60=0 avg300=0 total=1\n", waited) }
		p := &pressure{memory: machine.Reader{Root: root}, spared: 1024}
		want := func(what string, pressed bool) {
			t.Helper()
			if p.now() != pressed {
				t.Errorf("%s: pressed is %v", what, !pressed)
			}
		}

		processors(0)
		memory(4096, 0)
		want("a quiet machine", false)
		memory(1024+poolDriver-1, 0)
		want("no memory for one more", true)
		memory(4096, memoryStalls+1)
		want("memory is waited for", true)
		memory(4096, 0)
		want("a quiet machine again", false)

		processors(busyStalls)
		for range 30 {
			want("busy processors", true)
			time.Sleep(busyMost / 30)
		}
		want("they are waited for no longer", false)
		processors(busyStalls - 1)
		want("they are free", false)
		processors(busyStalls)
		want("busy anew", true)
		time.Sleep(time.Hour)
		want("busy when nobody has asked for long", true)

		if err := os.Remove(filepath.Join(root, "proc/pressure/cpu")); err != nil {
			t.Fatal(err)
		}
		say("loadavg", "0.50 9.00 9.00 1/100 1\n")
		want("a kernel that tells only the load, which is small", false)
		say("loadavg", "99999.00 9.00 9.00 1/100 1\n")
		want("a large load", true)
	})
}
