package main

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/athena"
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

// pairs is how many sessions and peers are compared: two JVMs that are started
// alike differ by a quarter in the same work, by what they compile when.
const pairs = 3

// measureSteady returns a measurement of heavy work in sessions with this heap
// against plain pyspark with the same, in turn.
func measureSteady(heap int) func(context.Context, *server) ([]row, error) {
	return func(ctx context.Context, s *server) ([]row, error) {
		var took [len(works)][2]efforts
		for range pairs {
			if err := s.pair(ctx, heap, &took); err != nil {
				return nil, err
			}
		}
		rows := make([]row, len(works))
		for i, w := range works {
			ours, peer := &took[i][0], &took[i][1]
			rows[i] = row{fmt.Sprintf("%s, heap %d MiB (median; CPU; first run)", w.what, heap), ours.String(), "plain pyspark " + peer.String(),
				fmt.Sprintf("%s (%s; %s)", speed(median(ours.wall), median(peer.wall)), speed(median(ours.cpu), median(peer.cpu)), speed(median(ours.first), median(peer.first))), "speed ≥ 1.0 ×"}
		}
		return rows, nil
	}
}

// pair has a fresh session and a fresh peer do all work, and adds what it took.
func (s *server) pair(ctx context.Context, heap int, took *[len(works)][2]efforts) error {
	c := s.athena()
	id, err := startSession(ctx, c)
	if err != nil {
		return err
	}
	peer, err := startPlain(ctx, s.o, fmt.Sprintf("spark.driver.memory=%dm", heap))
	if err != nil {
		return err
	}
	defer peer.stop() //nolint:errcheck // it was measured
	shim, err := s.shim(id)
	if err != nil {
		return err
	}
	sides := [2]side{{root: shim, run: func(code string) error {
		_, err := calculate(ctx, c, id, code, steadyPoll)
		return err
	}}, {root: peer.pid(), run: peer.run}}
	for i := range sides {
		if _, err := sides[i].work(heavy + "\nwork_prepare()\n"); err != nil {
			return err
		}
	}
	for i, w := range works {
		if err := compare(&sides, w.function+"()", &took[i]); err != nil {
			return fmt.Errorf("%s: %w", w.function, err)
		}
	}
	_, err = c.TerminateSession(ctx, &athena.TerminateSessionInput{SessionId: &id})
	return err
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

// efforts are what one side's runs of the same work took.
type efforts struct{ wall, cpu, first []time.Duration }

func (e *efforts) String() string {
	return fmt.Sprintf("%s (%s; %s)", seconds(median(e.wall)), seconds(median(e.cpu)), seconds(median(e.first)))
}

// compare has both sides do the same work in turn; who is the first changes,
// so that what slows the machine down for a while slows down both.
func compare(sides *[2]side, code string, took *[2]efforts) error {
	for n := range warmRounds + rounds {
		for i := range 2 {
			which := (i + n) % 2
			one, err := sides[which].work(code)
			if err != nil {
				return err
			}
			e := &took[which]
			switch {
			case n == 0:
				e.first = append(e.first, one.wall)
			case n >= warmRounds:
				e.wall, e.cpu = append(e.wall, one.wall), append(e.cpu, one.cpu)
			}
		}
	}
	return nil
}

// speed says how many times as fast as the peer something is.
func speed(ours, peer time.Duration) string {
	return fmt.Sprintf("%.2f ×", float64(peer)/float64(ours))
}
