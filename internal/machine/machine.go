// Package machine says what memory there is for sessions: of the machine, or of
// the control group that this process runs in where that has less.
package machine

// Memory is what there is at one moment, MiB.
type Memory struct {
	// Total is all that may ever be used.
	Total int
	// Available is what could be had now without swapping, files' pages that
	// can be dropped among it. Negative: not known.
	Available int
	// Pressure is for how many percent of the last ten seconds everything that
	// could run waited for memory. Zero where the kernel does not say.
	Pressure float64
}

// tighter is the memory of the one that has less of each.
func (m Memory) tighter(o Memory) Memory {
	m.Total = min(m.Total, o.Total)
	if m.Available < 0 || o.Available >= 0 && o.Available < m.Available {
		m.Available = o.Available
	}
	m.Pressure = max(m.Pressure, o.Pressure)
	return m
}
