package doctor

import (
	"testing"

	"glaux/internal/machine"
)

func TestMemory(t *testing.T) {
	for _, c := range []struct {
		total, available int
		want             Check
	}{
		{24105, 22528, Check{Result: OK, Detail: "22.0 of 23.5 GiB available: room for 64 sessions at 320 MiB, beside 2.0 GiB for those that work"}},
		{8192, -1, Check{Result: OK, Detail: "8.0 GiB: room for 19 sessions at 320 MiB, beside 2.0 GiB for those that work"}},
		{4096, 2500, Check{Result: Warning, Detail: "2.4 of 4.0 GiB available: room for 1 sessions at 320 MiB, beside 2.0 GiB for those that work",
			Fix: "free some memory, or lower --memory-headroom: a second session waits"}},
		{1024, 600, Check{Result: Missing, Detail: "0.6 of 1.0 GiB available: room for 0 sessions at 320 MiB, beside 2.0 GiB for those that work",
			Fix: "free some memory: a session needs 320 MiB and its heap"}},
	} {
		c.want.Name = "memory"
		if got := memory(machine.Memory{Total: c.total, Available: c.available}, 320, 2048); got != c.want {
			t.Errorf("got %+v, want %+v", got, c.want)
		}
	}
}
