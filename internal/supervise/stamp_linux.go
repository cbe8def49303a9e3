package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// proc is what /proc/<pid>/stat says of a process.
type proc struct {
	pid, parent, group int
	state              byte
	exiting            bool   // also while only some of its threads are gone
	start              uint64 // clock ticks since boot
}

func readProc(pid int) (proc, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			return proc{}, os.ErrProcessDone
		}
		return proc{}, err
	}
	// The second field is the program's name in parentheses and may hold anything.
	end := bytes.LastIndexByte(b, ')')
	if end < 0 {
		return proc{}, fmt.Errorf("cannot parse /proc/%d/stat", pid)
	}
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 20 {
		return proc{}, fmt.Errorf("cannot parse /proc/%d/stat", pid)
	}
	p := proc{pid: pid, state: f[0][0]}
	flags, _ := strconv.ParseUint(f[6], 10, 64)
	const pfExiting = 4
	p.exiting = flags&pfExiting != 0
	p.parent, _ = strconv.Atoi(f[1])
	p.group, _ = strconv.Atoi(f[2])
	p.start, err = strconv.ParseUint(f[19], 10, 64)
	return p, err
}

func startOf(pid int) (start uint64, zombie bool, err error) {
	p, err := readProc(pid)
	return p.start, p.state == 'Z' || p.state == 'X', err
}

// exiting says whether a process is on its way out, which others may notice
// before it can be reaped.
func exiting(pid int) bool {
	p, err := readProc(pid)
	return err != nil || p.exiting || p.state == 'Z' || p.state == 'X'
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

// procs lists every process. One that ends meanwhile is left out.
func procs() []proc {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var out []proc
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		if p, err := readProc(pid); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// descendants lists the live processes below root.
func descendants(root int) []proc {
	below := map[int][]proc{}
	for _, p := range procs() {
		below[p.parent] = append(below[p.parent], p)
	}
	var out []proc
	for next := []int{root}; len(next) > 0; next = next[1:] {
		for _, p := range below[next[0]] {
			if p.state != 'Z' && p.state != 'X' {
				out = append(out, p)
			}
			next = append(next, p.pid)
		}
	}
	return out
}

// adoptOrphans makes this process the parent of what its descendants leave
// behind, so that a process that detaches itself is still found.
func adoptOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot become a subreaper: %w", err)
	}
	return nil
}

// killDescendants kills everything below this process, including what forks
// while it is at it, for at most the given time. Reap must be running.
func killDescendants(within time.Duration) {
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		left := descendants(os.Getpid())
		if len(left) == 0 {
			return
		}
		for _, p := range left {
			syscall.Kill(p.pid, syscall.SIGKILL) // a pid below us is ours until we reap it
		}
	}
}

// marked says whether the process was started for the session: its first
// environment has the variable that every process of one inherits.
func marked(pid int, mark string) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	for v := range bytes.SplitSeq(b, []byte{0}) {
		if string(v) == mark {
			return true
		}
	}
	return false
}

// Ours says whether a process was started for any session.
func Ours(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	return err == nil && bytes.Contains(append([]byte{0}, b...), []byte("\x00"+Mark+"="))
}

// Sweep kills what a shim that is gone left of its session: the processes
// whose environment carries the session's key, and with a uid of its own
// (above zero) all of that uid. It returns how many it killed, and waits until
// they are gone, for at most a few seconds.
func Sweep(key string, uid int) int {
	killed := map[Stamp]bool{}
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		found := false
		for _, p := range procs() {
			if p.pid == os.Getpid() || p.state == 'Z' || p.state == 'X' {
				continue
			}
			if !(uid > 0 && runsAs(p.pid, uid)) && !marked(p.pid, MarkOf(key)) {
				continue
			}
			found = true
			st := Stamp{PID: p.pid, Start: p.start}
			killed[st] = true
			syscall.Kill(p.pid, syscall.SIGKILL)
		}
		if !found {
			break
		}
	}
	return len(killed)
}

func runsAs(pid, uid int) bool {
	var st unix.Stat_t
	return unix.Stat("/proc/"+strconv.Itoa(pid), &st) == nil && int(st.Uid) == uid
}

// InUse says whether any process runs as the uid.
func InUse(uid int) bool {
	for _, p := range procs() {
		if runsAs(p.pid, uid) {
			return true
		}
	}
	return false
}

// oomKills counts the processes that the kernel has killed for want of memory
// since boot, in any cgroup.
func oomKills() uint64 {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			v, _ := strconv.ParseUint(strings.TrimSpace(n), 10, 64)
			return v
		}
	}
	return 0
}

// expendable makes the kernel prefer the process over shims and servers when
// memory runs out.
func expendable(pid int) {
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte("300"), 0) // best effort
}

// giveWay lets the processes of this session, which is a scheduling group of
// its own where the kernel makes those, compute only where others leave room;
// or no longer. It reports false where the kernel wants to be asked later: it
// takes one change in a tenth of a second from all of a machine's users.
func giveWay(on bool) bool {
	nice := "0"
	if on {
		nice = "5"
	}
	return !errors.Is(os.WriteFile("/proc/self/autogroup", []byte(nice), 0), syscall.EAGAIN)
}

// dieWithParent is the attribute that ends a child when the shim is killed.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }

// peerUID returns the uid at the other end of a Unix socket.
func peerUID(fd int) (int, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(c.Uid), nil
}
