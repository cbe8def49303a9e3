package session

import (
	"maps"
	"math"
	"slices"
	"strings"

	"glaux/internal/fault"
)

// workerTypes are Glue's worker types with the DPUs of one worker, as its
// documentation has them; R types count memory-optimised DPUs.
var workerTypes = map[string]float64{
	"Standard": 1,
	"G.025X":   0.25,
	"G.1X":     1, "G.2X": 2, "G.4X": 4, "G.8X": 8, "G.12X": 12, "G.16X": 16,
	"Z.2X": 2,
	"R.1X": 1, "R.2X": 2, "R.4X": 4, "R.8X": 8,
}

// What a session has that asks for no capacity and has no usage profile.
const (
	DefaultWorkerType = "G.1X"
	DefaultWorkers    = 5
)

// Glue's smallest session.
const (
	leastCapacity = 2 // DPUs
	mostCapacity  = 100000
	leastWorkers  = 2
)

// capacity fills in what a session's capacity is: MaxCapacity, or a worker
// type and a number of them.
func (g *GlueConfig) capacity(most *float64, workerType string, workers *int32) error {
	if most != nil {
		switch {
		case workerType != "" || workers != nil:
			return fault.Invalidf("Please do not set Max Capacity if using Worker Type and Number of Workers.")
		case math.IsNaN(*most) || *most < leastCapacity || *most > mostCapacity:
			return fault.Invalidf("Max Capacity %v is not valid: a session has at least %d DPUs, and at most %d.", *most, leastCapacity, mostCapacity)
		}
		g.MaxCapacity = *most
		return nil
	}
	if workerType == "" {
		workerType = DefaultWorkerType
	}
	dpus, ok := workerTypes[workerType]
	if !ok {
		return fault.Invalidf("Worker Type %s is not valid: the valid ones are %s.", workerType, strings.Join(slices.Sorted(maps.Keys(workerTypes)), ", "))
	}
	n := int32(DefaultWorkers)
	if workers != nil {
		n = *workers
	}
	if n < leastWorkers || n > mostCapacity {
		return fault.Invalidf("Number of Workers %d is not valid: a session has at least %d workers, and at most %d.", n, leastWorkers, mostCapacity)
	}
	g.WorkerType, g.Workers, g.MaxCapacity = workerType, int(n), dpus*float64(n)
	return nil
}
