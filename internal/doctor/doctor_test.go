package doctor

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func find(t *testing.T, checks []Check, name string) Check {
	t.Helper()
	for _, c := range checks {
		if strings.HasPrefix(c.Name, name) {
			return c
		}
	}
	t.Fatalf("no check %q in %v", name, checks)
	return Check{}
}

func TestWhatIsMissingHasAWayOut(t *testing.T) {
	dir := t.TempDir()
	nothing := filepath.Join(dir, "nothing")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	checks := Run(t.Context(), Options{Runtime: dir, DataDir: filepath.Join(dir, "data"), Java: nothing, Python: nothing, Maven: nothing,
		Listen: []string{listener.Addr().String(), "127.0.0.1:0"}, Reserve: 320, Headroom: func(int) int { return 2048 }})
	for _, name := range []string{"Java 17", "Python 3.11", "Spark runtime"} {
		if c := find(t, checks, name); c.Result != Missing || c.Fix == "" || c.Detail == "" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if c := find(t, checks, "port "+listener.Addr().String()); c.Result != Warning {
		t.Errorf("used port: %+v", c)
	}
	if c := find(t, checks, "port 127.0.0.1:0"); c.Result != OK {
		t.Errorf("free port: %+v", c)
	}
	for _, c := range checks {
		if c.Result != OK && c.Fix == "" {
			t.Errorf("%s has no way out", c.Name)
		}
	}
	var out strings.Builder
	if Print(&out, checks) {
		t.Error("sessions cannot run, but Print says so")
	}
	if !strings.Contains(out.String(), "→ run: glaux runtime install") {
		t.Errorf("printed:\n%s", out.String())
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestPrintIsContentWithWarnings(t *testing.T) {
	var out strings.Builder
	if !Print(&out, []Check{{Name: "a", Result: OK, Detail: "fine"}, {Name: "b", Result: Warning, Detail: "slow", Fix: "hurry"}}) {
		t.Error("a warning is no failure")
	}
}

func TestPortOfSparkConnect(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		result Result
		says   string
	}{
		"not allowed": {&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)}, Warning, "setcap"},
		"in use":      {&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}, Warning, "--connect-listen"},
	} {
		if got := port443(nil, c.err); got.Result != c.result || !strings.Contains(got.Fix, c.says) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, way := range []string{"setcap cap_net_bind_service", "net.ipv4.ip_unprivileged_port_start", "--connect-public-port 443"} {
		if !strings.Contains(fix443, way) {
			t.Errorf("the ways to allow 443 lack %s", way)
		}
	}
	if got := connect(t.Context(), "off"); len(got) != 0 {
		t.Errorf("not served: %v", got)
	}
	if got := connect(t.Context(), "127.0.0.1:0"); len(got) != 1 || got[0].Result != OK {
		t.Errorf("its own address: %v", got)
	}
}
