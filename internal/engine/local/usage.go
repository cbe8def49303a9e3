package local

import (
	"context"

	"glaux/internal/engine"
	"glaux/internal/shim"
	"glaux/internal/supervise"
)

// Memory returns what every driver that runs takes, bytes: its JVM, its Python,
// their children and its shim, where pages that drivers share count once
// between them. It is empty on systems that do not tell.
func (l *Launcher) Memory(ctx context.Context) (map[engine.Key]int64, error) {
	handles, err := l.List(ctx)
	if err != nil {
		return nil, err
	}
	keys := map[int]engine.Key{}
	var pids []int
	for _, h := range handles {
		var st supervise.State
		if readJSON(l.driver(h.Key, 0).file(shim.StateFile), &st) == nil && st.Shim.Alive() {
			keys[st.Shim.PID] = h.Key
			pids = append(pids, st.Shim.PID)
		}
	}
	out := make(map[engine.Key]int64, len(pids))
	for pid, bytes := range supervise.Memory(pids) {
		out[keys[pid]] = bytes
	}
	return out, nil
}
