package supervise

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const zombieState = 5 // SZOMB of sys/proc.h

func startOf(pid int) (start uint64, zombie bool, err error) {
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		if errors.Is(err, unix.EIO) || errors.Is(err, unix.ESRCH) {
			err = os.ErrProcessDone
		}
		return 0, false, err
	}
	if int(k.Proc.P_pid) != pid {
		return 0, false, os.ErrProcessDone
	}
	t := k.Proc.P_starttime
	return uint64(t.Sec)*1e6 + uint64(t.Usec), k.Proc.P_stat == zombieState, nil
}

// exiting says whether a process is no more but for its status.
func exiting(pid int) bool {
	_, zombie, err := startOf(pid)
	return err != nil || zombie
}

func bootID() (string, error) { return unix.Sysctl("kern.bootsessionuuid") }

// adoptOrphans has no counterpart here.
func adoptOrphans() error { return nil }

// killDescendants kills the children's groups; what left them is not found here.
func killDescendants(within time.Duration) {
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		all, err := unix.SysctlKinfoProcSlice("kern.proc.uid", os.Getuid())
		if err != nil {
			return
		}
		left := 0
		for i := range all {
			if int(all[i].Eproc.Ppid) == os.Getpid() && all[i].Proc.P_stat != zombieState {
				left++
				syscall.Kill(-int(all[i].Eproc.Pgid), syscall.SIGKILL)
			}
		}
		if left == 0 {
			return
		}
	}
}

// Memory tells nothing here: the system has no proportional shares.
func Memory([]int) map[int]int64 { return nil }

// Ours cannot read other processes' environments here.
func Ours(int) bool { return false }

// Sweep cannot read other processes' environments here; a session's processes
// end by themselves when their shim does, because their control input ends.
func Sweep(string, int) int { return 0 }

// InUse is not needed here: sessions have no uids of their own.
func InUse(int) bool { return false }

func oomKills() uint64 { return 0 }

func expendable(int) {}

// giveWay does nothing: there are no scheduling groups.
func giveWay(bool) bool { return true }

func dieWithParent(*syscall.SysProcAttr) {}

func peerUID(fd int) (int, error) {
	c, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(c.Uid), nil
}
