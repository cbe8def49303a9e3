package supervise

import (
	"fmt"
	"time"

	"glaux/internal/shim"
)

// outgrown tells the session's people when the kernel has ended a process of
// its control group that was not the JVM or Python itself, such as a Python
// worker, whose end Spark reports without a reason. Called by tick alone, with
// the number of ends that were told before; it returns the new one.
func (s *Supervisor) outgrown(told uint64) uint64 {
	now := s.group.Kills()
	if now <= told {
		return told
	}
	line := fmt.Sprintf("the kernel has ended a process of this session: the session has %d MiB for its JVM and Python together\n", s.group.MiB)
	s.log.Warn("a process outgrew the session's memory", "mib", s.group.MiB, "ended", now)
	to := s.logsOf(shim.FromShim)[1]
	_, _ = to.Write([]byte(line)) // journals never fail
	to.Close()
	return now
}

// giveWay lets the processes of this session compute only where others leave
// room, or no longer: by the share of its control group, and where it has none
// by the scheduling group that the kernel makes for a process session.
func (s *Supervisor) giveWay(on bool) {
	if !giveWay(on) {
		s.wg.Go(func() { s.serveWay(on) })
	}
	if err := s.group.Yield(on); err != nil {
		s.log.Warn("the session's share of processors stays", "low", on, "error", err)
	}
}

// serveWay asks again until the kernel has taken it.
func (s *Supervisor) serveWay(on bool) {
	t := time.NewTicker(130 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if giveWay(on) {
				return
			}
		case <-s.ending:
			return
		}
	}
}
