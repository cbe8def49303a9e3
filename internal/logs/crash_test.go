package logs

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// crashWriter as the first argument makes the test binary a process that
// appends to the store in the directory of the second one until it is killed.
const crashWriter = "crash-writer"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == crashWriter {
		if err := appendForever(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// appendForever continues where the mark says that the last process ended, and
// says on stdout how many events are acknowledged.
func appendForever(ctx context.Context, dir string) error {
	s, err := Open(Config{Dir: dir, ManagedDays: 30, MaxBytes: 1 << 40, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	mark, err := s.Mark(ctx, "g", "s")
	if err != nil {
		return err
	}
	next, _ := strconv.Atoi(mark) // none: from the beginning
	pad := strings.Repeat("x", 3000)
	for {
		batch := make([]Event, 1+next%7*20)
		for i := range batch {
			batch[i] = Event{time.Now(), fmt.Sprint(next+i, " ", pad)}
		}
		next += len(batch)
		if err := s.Append(ctx, "g", "s", batch, strconv.Itoa(next)); err != nil {
			return err
		}
		fmt.Println(next)
	}
}

// TestKill kills a writing process at random moments, again and again. What it
// had acknowledged is there afterwards, each event once and in order, and the
// mark tells the next process where to go on.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acknowledged := 0
	for round := range 8 {
		cmd := exec.Command(os.Args[0], crashWriter, dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewScanner(out)
		for stop := 1 + rand.IntN(60); stop > 0 && said.Scan(); stop-- {
			acknowledged, _ = strconv.Atoi(said.Text())
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for said.Scan() { // what it had said before it died
			if n, err := strconv.Atoi(said.Text()); err == nil {
				acknowledged = n
			}
		}
		_ = cmd.Wait() // it was killed
		s := mustOpen(t, dir)
		got := mustRead(t, s, Query{Group: "g"})
		for i, e := range got {
			if n, _, _ := strings.Cut(e.Message, " "); n != strconv.Itoa(i) {
				t.Fatalf("round %d: event %d is %s", round, i, n)
			}
		}
		mark, err := s.Mark(t.Context(), "g", "s")
		if err != nil || len(got) < acknowledged || mark != strconv.Itoa(len(got)) {
			t.Fatalf("round %d: %d events of %d acknowledged, the mark is %q, %v", round, len(got), acknowledged, mark, err)
		}
	}
}
