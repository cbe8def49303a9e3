package server

import "runtime"

// given is how many processors this process was given.
var given = runtime.GOMAXPROCS(0)

// processors returns how many the server computes on: what is configured, or
// half of what there is, at least one.
func (c *Config) processors() int {
	if c.Processors > 0 {
		return c.Processors
	}
	return max(1, given/2)
}
