package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glaux/internal/shim"
)

// texts are the records of a stream without their times.
func texts(t *testing.T, dir, name string, offset int64) []string {
	t.Helper()
	r, err := OpenJournal(dir, name, offset)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(all)) {
		_, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		out = append(out, text)
	}
	return out
}

func TestJournalKeepsLines(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	j := NewJournal(dir, "stderr", 1<<20)
	jvm, python := &journalWriter{j: j, from: shim.FromJVM}, &journalWriter{j: j, from: shim.FromPython}
	io.WriteString(jvm, "one\ntw")
	io.WriteString(python, "between\n\nhal")
	io.WriteString(jvm, "o\n")
	io.WriteString(jvm, strings.Repeat("x", longestLine)+"tail\n")
	io.WriteString(jvm, strings.Repeat("y", longestLine)+"\n")
	jvm.Close()
	python.Close()
	j.Close()
	io.WriteString(jvm, "too late\n")
	want := []string{
		"jL one", "pL between", "pL ", "jL two", "jP " + strings.Repeat("x", longestLine), "jL tail",
		"jL " + strings.Repeat("y", longestLine), "pL hal",
	}
	if got := texts(t, dir, "stderr", 0); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("records are %.200q", got)
	}
	if got := texts(t, dir, "stdout", 0); len(got) != 0 {
		t.Errorf("a stream that nobody wrote has %q", got)
	}
}

func TestJournalIsBounded(t *testing.T) {
	dir := t.TempDir()
	j := NewJournal(dir, "stdout", 16<<10)
	w := &journalWriter{j: j, from: shim.FromJVM}
	for i := range 2000 {
		fmt.Fprintf(w, "line %d\n", i)
	}
	j.Close()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < journalFiles || len(files) > journalFiles+2 {
		t.Errorf("there are %d files, %v", len(files), err)
	}
	trimmed, ok := errors.AsType[*TrimmedError](j.Follow(t.Context(), 0, io.Discard))
	if !ok || trimmed.First != j.First() || trimmed.First == 0 {
		t.Fatalf("Follow of what was dropped: %v", trimmed)
	}
	if _, err := OpenJournal(dir, "stdout", trimmed.First-1); err == nil {
		t.Error("what was dropped can be read from the files")
	}
	got := texts(t, dir, "stdout", trimmed.First)
	if len(got) == 0 || got[len(got)-1] != "jL line 1999" {
		t.Errorf("records are %q", got)
	}
	var b strings.Builder
	if err := j.Follow(t.Context(), trimmed.First, &b); err != nil || strings.Count(b.String(), "\n") != len(got) {
		t.Errorf("Follow has %d lines, the files %d: %v", strings.Count(b.String(), "\n"), len(got), err)
	}
}

func TestJournalIsFollowed(t *testing.T) {
	j := NewJournal(t.TempDir(), "stderr", 64<<10)
	w := &journalWriter{j: j, from: shim.FromPython}
	r, to := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- j.Follow(t.Context(), 0, to); to.Close() }()
	go func() {
		for i := range 100 {
			fmt.Fprintf(w, "line %d\n", i)
		}
		j.Close()
	}()
	all, err := io.ReadAll(r)
	if err != nil || strings.Count(string(all), "\n") != 100 {
		t.Errorf("read %d lines, %v", strings.Count(string(all), "\n"), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	idle := NewJournal(t.TempDir(), "stderr", 1)
	if err := idle.Follow(ctx, 0, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("Follow of nothing: %v", err)
	}
}

func TestJournalSaysWhatTheDiskRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // no directory can be made there
		t.Fatal(err)
	}
	j := NewJournal(dir, "stdout", 1<<20)
	w := &journalWriter{j: j, from: shim.FromJVM}
	io.WriteString(w, "lost\n")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "kept\n")
	j.Close()
	got := texts(t, dir, "stdout", 0)
	if len(got) != 2 || !strings.Contains(got[0], "bytes of the log are missing") || got[1] != "jL kept" {
		t.Errorf("records are %q", got)
	}
}

func TestCellsAreSeenInTheLog(t *testing.T) {
	dir := t.TempDir()
	spool, j := NewSpool(filepath.Join(dir, "spool"), 1<<20), NewJournal(dir, "stdout", 1<<20)
	w := &tee{spool: spool, log: &journalWriter{j: j, from: shim.FromPython}, left: 20, cell: "c1"}
	io.WriteString(w, "short\n")
	io.WriteString(w, "a line\nanother that is longer\n")
	io.WriteString(w, "unseen\n")
	j.Close()
	if size, _ := spool.Close(false); size != 6+30+7 {
		t.Errorf("the spool has %d bytes", size)
	}
	got := texts(t, dir, "stdout", 0)
	want := []string{"pL short", "pL a line", "pL [what calculation c1 writes further is in its result only]"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("records are %q", got)
	}
}
