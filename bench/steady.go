package main

import (
	"context"
	_ "embed"
	"fmt"
	"time"
)

// heavy defines the work that steady compares.
//
//go:embed steady.py
var heavy string

// Rounds of steady work: what a JVM compiles is compiled in the first ones.
const (
	warmRounds = 3
	rounds     = 5
)

// steadyPoll is how often the client asks whether work of a second or two is
// done. It runs on the same processors, which the work wants for itself.
const steadyPoll = 25 * time.Millisecond

// works are the functions of heavy and what they are called in the table.
var works = [...]struct{ function, what string }{
	{"work_aggregate", "SQL aggregate, 3M rows into 50k groups"},
	{"work_join", "SQL join, sort and window, 600k rows"},
	{"work_words", "SQL hashes, split and count of 1M words"},
	{"work_udf", "Python UDF, 400k rows"},
}

// measureSteady returns a measurement of heavy work in a session with this
// heap against plain pyspark with the same, in turn.
func measureSteady(heap int) func(context.Context, *server) ([]row, error) {
	return func(ctx context.Context, s *server) ([]row, error) {
		c := s.athena()
		id, err := startSession(ctx, c)
		if err != nil {
			return nil, err
		}
		peer, err := startPlain(ctx, s.o, fmt.Sprintf("spark.driver.memory=%dm", heap))
		if err != nil {
			return nil, err
		}
		defer peer.stop() //nolint:errcheck // it was measured
		shim, err := s.shim(id)
		if err != nil {
			return nil, err
		}
		sides := [2]side{{root: shim, run: func(code string) error {
			_, err := calculate(ctx, c, id, code, steadyPoll)
			return err
		}}, {root: peer.pid(), run: peer.run}}
		for i := range sides {
			if _, err := sides[i].work(heavy + "\nwork_prepare()\n"); err != nil {
				return nil, err
			}
		}
		var rows []row
		for _, w := range works {
			r, err := compare(&sides, w.function+"()")
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.function, err)
			}
			r.what = fmt.Sprintf("%s, heap %d MiB (median; CPU; first run)", w.what, heap)
			rows = append(rows, r)
		}
		return rows, nil
	}
}

// side is a session, or its peer.
type side struct {
	root int // what its processes are below
	run  func(code string) error
}

// effort is what one piece of work took.
type effort struct{ wall, cpu time.Duration }

// work runs code and says what it took.
func (s *side) work(code string) (effort, error) {
	before, err := treeCPU(s.root)
	if err != nil {
		return effort{}, err
	}
	began := time.Now()
	if err := s.run(code); err != nil {
		return effort{}, err
	}
	wall := time.Since(began)
	after, err := treeCPU(s.root)
	return effort{wall, after - before}, err
}

// compare has both sides do the same work in turn; who is the first changes,
// so that what slows the machine down for a while slows down both.
func compare(sides *[2]side, code string) (row, error) {
	var wall, cpu [2][]time.Duration
	var first [2]time.Duration
	for n := range warmRounds + rounds {
		for i := range 2 {
			which := (i + n) % 2
			took, err := sides[which].work(code)
			if err != nil {
				return row{}, err
			}
			switch {
			case n == 0:
				first[which] = took.wall
			case n >= warmRounds:
				wall[which], cpu[which] = append(wall[which], took.wall), append(cpu[which], took.cpu)
			}
		}
	}
	told := func(which int) string {
		return fmt.Sprintf("%s (%s; %s)", seconds(median(wall[which])), seconds(median(cpu[which])), seconds(first[which]))
	}
	return row{"", told(0), "plain pyspark " + told(1), fmt.Sprintf("%s (%s; %s)",
		speed(median(wall[0]), median(wall[1])), speed(median(cpu[0]), median(cpu[1])), speed(first[0], first[1])), "speed ≥ 1.0 ×"}, nil
}

// speed says how many times as fast as the peer something is.
func speed(ours, peer time.Duration) string {
	return fmt.Sprintf("%.2f ×", float64(peer)/float64(ours))
}
