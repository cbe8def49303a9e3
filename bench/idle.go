package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/athena"
)

// How the memory of idle sessions is measured.
const (
	few   = 4                // sessions that share what they have in common before one more is measured
	more  = 4                // that are measured, each after its first count
	rests = 15 * time.Second // after which a session has given back what it does not need
)

// measureIdle measures what one more idle session takes beside plain pyspark,
// and then fills the machine with idle sessions that all answer.
func measureIdle(ctx context.Context, s *server) ([]row, error) {
	c := s.athena()
	var ids []string
	start := func(code string) error {
		id, err := startSession(ctx, c)
		if err != nil {
			return fmt.Errorf("session %d: %w", len(ids)+1, err)
		}
		ids = append(ids, id)
		_, err = calculate(ctx, c, id, code, 5*time.Millisecond)
		return err
	}
	var sizes []float64 // of all sessions at rest
	for n := range few + more {
		if err := start("spark.range(10).count()"); err != nil {
			return nil, err
		}
		if n != few-1 && n != few+more-1 {
			continue
		}
		_, size, err := s.atRest(ctx, ids)
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, size)
	}
	each := (sizes[1] - sizes[0]) / more
	plain, err := plainMemory(ctx, s.o)
	if err != nil {
		return nil, err
	}
	rows := []row{{"memory of one more idle session (PSS, after its first count)", fmt.Sprintf("%.0f MB", each),
		fmt.Sprintf("plain pyspark %.0f MB", plain), fmt.Sprintf("%.2f ×", each/plain), "≤ 210 MB"}}
	back, err := s.givesBack(ctx, c, ids[0])
	if err != nil {
		return nil, err
	}
	rows = append(rows, back)
	dense := max(s.o.dense, few+more+1)
	began := time.Now()
	for len(ids) < dense {
		if err := start("1+1"); err != nil {
			return nil, err
		}
	}
	filled := time.Since(began)
	got, err := fullMachine(ctx, s, c, ids)
	if err != nil {
		return nil, err
	}
	rows = append(rows, row{fmt.Sprintf("%d more sessions in turn, each start with an answer", dense-few-more), seconds(filled / time.Duration(dense-few-more)), "", "", ""})
	return append(rows, got...), nil
}

// givesBack measures one session's memory after heavy work and at rest.
func (s *server) givesBack(ctx context.Context, c *athena.Client, id string) (row, error) {
	if _, err := calculate(ctx, c, id, heavy+"\nwork_prepare()\nwork_aggregate()\nwork_join()\n", steadyPoll); err != nil {
		return row{}, err
	}
	shim, err := s.shim(id)
	if err != nil {
		return row{}, err
	}
	busy, err := treePSS(shim)
	if err != nil {
		return row{}, err
	}
	_, rested, err := s.atRest(ctx, []string{id})
	return row{fmt.Sprintf("memory of a session after heavy work, and %s later (PSS)", rests), fmt.Sprintf("%.0f MB, %.0f MB", busy, rested), "", "", ""}, err
}

// plainMemory returns what one more idle plain pyspark takes beside another,
// which it shares files with.
func plainMemory(ctx context.Context, o options) (float64, error) {
	var sizes []float64
	var roots []int
	for range 2 {
		p, err := startPlain(ctx, o)
		if err != nil {
			return 0, err
		}
		defer p.stop() //nolint:errcheck // it was measured
		roots = append(roots, p.pid())
		if err := pause(ctx, rests); err != nil {
			return 0, err
		}
		size, err := treePSS(roots...)
		if err != nil {
			return 0, err
		}
		sizes = append(sizes, size)
	}
	return sizes[1] - sizes[0], nil
}

// atRest lets sessions come to rest, and returns their shims and what all of
// their processes take together, MB.
func (s *server) atRest(ctx context.Context, ids []string) (shims []int, size float64, err error) {
	if err := pause(ctx, rests); err != nil {
		return nil, 0, err
	}
	if shims, err = s.shims(ids); err != nil {
		return nil, 0, err
	}
	size, err = treePSS(shims...)
	return shims, size, err
}

// fullMachine has every session answer and reads what they all take.
func fullMachine(ctx context.Context, s *server, c *athena.Client, ids []string) ([]row, error) {
	roots, size, err := s.atRest(ctx, ids)
	if err != nil {
		return nil, err
	}
	free, err := availableMB()
	if err != nil {
		return nil, err
	}
	before, err := s.sessionsCPU(roots)
	if err != nil {
		return nil, err
	}
	const quiet = 20 * time.Second
	if err := pause(ctx, quiet); err != nil {
		return nil, err
	}
	after, err := s.sessionsCPU(roots)
	if err != nil {
		return nil, err
	}
	var took []time.Duration
	for _, id := range ids {
		began := time.Now()
		if _, err := calculate(ctx, c, id, "1+1", 5*time.Millisecond); err != nil {
			return nil, fmt.Errorf("session %s does not answer: %w", id, err)
		}
		took = append(took, time.Since(began))
	}
	return []row{
		{fmt.Sprintf("%d idle sessions, memory (PSS)", len(ids)), fmt.Sprintf("%.1f GB", size/1000),
			fmt.Sprintf("free %.1f GB", free/1000), fmt.Sprintf("%.0f MB each", size/float64(len(ids))), "all live"},
		{fmt.Sprintf("%d idle sessions, CPU with the server's", len(ids)), fmt.Sprintf("%.0f %% of a core", 100*(after-before).Seconds()/quiet.Seconds()), "", "", ""},
		{fmt.Sprintf("%d idle sessions, 1+1 in each in turn", len(ids)), ms(median(took)) + fmt.Sprintf(" (p99 %s)", ms(quantile(took, 0.99))), "", "", "all answer"},
	}, nil
}

// sessionsCPU is the processor time that the sessions and the server have used.
func (s *server) sessionsCPU(shims []int) (time.Duration, error) {
	total, err := s.allCPU()
	if err != nil {
		return 0, err
	}
	for _, root := range shims {
		used, err := treeCPU(root)
		if err != nil {
			return 0, err
		}
		total += used
	}
	return total, nil
}
