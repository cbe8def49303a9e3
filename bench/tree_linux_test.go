package main

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	p, err := parseStat("42 (a) b (c)) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 20 5 20 0 1 0 99 0 0\n")
	if want := (process{pid: 42, parent: 7, own: 2 * time.Second, reaped: 250 * time.Millisecond}); err != nil || p != want {
		t.Errorf("got %+v, %v; want %+v", p, err, want)
	}
	for _, text := range []string{"", "42 (a", "42 (a) S 7"} {
		if p, err := parseStat(text); err == nil {
			t.Errorf("%q is read as %+v", text, p)
		}
	}
}

func TestTreeOfThisProcess(t *testing.T) {
	found, err := tree(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	self := false
	for _, p := range found {
		self = self || p.pid == os.Getpid() && p.parent == os.Getppid()
	}
	if !self {
		t.Errorf("the parent's tree %+v lacks this process", found)
	}
	if mb, err := treePSS(os.Getpid()); err != nil || mb < 1 {
		t.Errorf("this process has %f MB, %v", mb, err)
	}
	if _, err := tree(-1); err == nil {
		t.Error("a process that is none has a tree")
	}
}
