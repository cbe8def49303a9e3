package doctor

import (
	"fmt"

	"glaux/internal/machine"
)

// memory says for how many sessions there is room, by the rule of
// docs/design/memory.md.
func memory(m machine.Memory, reserve, headroom int) Check {
	c := Check{Name: "memory", Result: OK}
	free := m.Total
	found := fmt.Sprintf("%s GiB", gib(m.Total))
	if m.Available >= 0 {
		free = m.Available
		found = fmt.Sprintf("%s of %s GiB available", gib(m.Available), gib(m.Total))
	}
	room := max(0, free-headroom) / reserve
	c.Detail = fmt.Sprintf("%s: room for %d sessions at %d MiB, beside %s GiB for those that work", found, room, reserve, gib(headroom))
	switch {
	case free < 2*reserve:
		c.Result, c.Fix = Missing, fmt.Sprintf("free some memory: a session needs %d MiB and its heap", reserve)
	case room < 2: // the first one always starts
		c.Result, c.Fix = Warning, "free some memory, or lower --memory-headroom: a second session waits"
	}
	return c
}

func gib(mib int) string { return fmt.Sprintf("%.1f", float64(mib)/1024) }
