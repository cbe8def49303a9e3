package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// measurePrimed times sessions with Spark properties of their own, which a
// running context cannot take: a driver without one is ready for them. The peer
// is our own cold start, of a server without a pool.
func measurePrimed(ctx context.Context, s *server) ([]row, error) {
	dir, err := os.MkdirTemp("", "glaux-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	bare, err := startServer(ctx, s.o, dir, "--pool-max", "0")
	if err != nil {
		return nil, err
	}
	defer bare.stopAll() //nolint:errcheck // the measurement is done
	var ours, cold []time.Duration
	for n := range 1 + s.o.runs {
		if err := s.awaitPool(ctx, min(1, n)); err != nil {
			return nil, err
		}
		// Another value each time, so that no driver with a context fits.
		took, err := startOwn(ctx, s, "spark.sql.ui.retainedExecutions", strconv.Itoa(500+n))
		if err != nil {
			return nil, err
		}
		if n == 0 { // teaches the pool, and is a cold one
			continue
		}
		ours = append(ours, took)
		if err := s.awaitPool(ctx, 1); err != nil { // it takes no CPU from the peer
			return nil, err
		}
		if took, err = startOwn(ctx, bare, "spark.sql.ui.retainedExecutions", strconv.Itoa(500+n)); err != nil {
			return nil, err
		}
		cold = append(cold, took)
	}
	warm, primed, missed, err := s.launches(ctx)
	if err != nil {
		return nil, err
	}
	r := pair("StartSession with own Spark properties → IDLE (median)", median(ours), "our cold start", median(cold), "≤ 0.6 ×")
	return []row{r, {"the sessions above and what they found", fmt.Sprintf("%.0f warm, %.0f primed, %.0f cold", warm, primed, missed), "", "",
		fmt.Sprintf("%d primed, 1 cold", len(ours))}}, nil
}

// startOwn times a session with properties up to IDLE, and ends it.
func startOwn(ctx context.Context, s *server, properties ...string) (time.Duration, error) {
	c := s.athena()
	began := time.Now()
	id, err := startSession(ctx, c, properties...)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	return took, terminate(ctx, c, id)
}
