package object

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// parentArgument makes the test binary a parent of an embedded server: it
// prints the server's process id and waits to be killed.
const parentArgument = "object-parent"

func runParent(dir string) {
	c, err := NewChild(ChildConfig{
		Command: []string{os.Args[0], serverArgument}, Dir: filepath.Join(dir, "objects"), SocketDir: dir,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	go func() {
		if err := c.Ready(ctx); err == nil {
			fmt.Println(c.PID())
		}
	}()
	_ = c.Run(ctx)
}

func TestChildStartsAgainAfterACrash(t *testing.T) {
	c := mustChild(t, shortDir(t))
	client, err := NewClient(c.Upstream())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.EnsureBucket(t.Context(), "crash"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		to := URI{"crash", strconv.Itoa(i)}
		if err := client.PutBytes(t.Context(), to, []byte("kept"), "text/plain"); err != nil {
			t.Fatal(err)
		}
		pid := c.PID()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		// No waiting: requests wait for the next server by themselves.
		if got, err := client.GetBytes(t.Context(), to, 10); err != nil || string(got) != "kept" {
			t.Fatalf("after crash %d: %q, %v", i, got, err)
		}
		if again := c.PID(); again == pid || again == 0 {
			t.Fatalf("after crash %d the process is %d, as before", i, again)
		}
	}
}

func TestChildEndsWithItsParent(t *testing.T) {
	cmd := exec.Command(os.Args[0], parentArgument, shortDir(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	wantGone(t, pid)
}

// wantGone waits for a process that is not our child to end.
func wantGone(t *testing.T, pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil && strings.Contains(string(stat), ") Z ") {
			return // nobody reaps it here, but it has ended
		}
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d outlives its parent", pid)
		}
	}
}

func TestChildThatCannotStart(t *testing.T) {
	dir := shortDir(t)
	c, err := NewChild(ChildConfig{
		Command: []string{"/bin/sh", "-c", "echo no such luck >&2; exit 3"}, Dir: filepath.Join(dir, "objects"), SocketDir: dir,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no such luck") || !strings.Contains(err.Error(), "cannot start the object server") {
		t.Fatalf("got %v", err)
	}
}

func TestChildSecretIsNowhere(t *testing.T) {
	c := mustChild(t, shortDir(t))
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", c.PID(), name))
		if errors.Is(err, os.ErrNotExist) {
			return // not a Linux
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), c.Upstream().Secret) {
			t.Errorf("the secret is in the process's %s", name)
		}
	}
}
