package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/glue"
)

// warmStarts is how many warm starts are timed for each one of plain pyspark.
const warmStarts = 6

// measureWarm times sessions that find a driver of the pool ready.
func measureWarm(ctx context.Context, s *server) ([]row, error) {
	requests, err := connectPlans(ctx, s, "1,1,1")
	if err != nil {
		return nil, err
	}
	var idle, count, connect, plainIdle, plainCount []time.Duration
	c := s.athena()
	for n := range warmStarts * s.o.runs {
		if err := s.awaitPool(ctx, 1); err != nil {
			return nil, err
		}
		began := time.Now()
		id, err := startPolled(ctx, c, time.Millisecond)
		if err != nil {
			return nil, err
		}
		idle = append(idle, time.Since(began))
		if n%2 == 0 {
			if _, err := calculate(ctx, c, id, "spark.range(10).count()", time.Millisecond); err != nil {
				return nil, err
			}
			count = append(count, time.Since(began))
		} else {
			took, err := firstConnect(ctx, s, id, requests[0])
			if err != nil {
				return nil, err
			}
			connect = append(connect, took)
		}
		if err := terminate(ctx, c, id); err != nil {
			return nil, err
		}
		if n%warmStarts > 0 {
			continue
		}
		if err := s.awaitPool(ctx, 1); err != nil {
			return nil, err
		}
		plain, err := coldPlain(ctx, s.o)
		if err != nil {
			return nil, err
		}
		plainIdle, plainCount = append(plainIdle, plain.idle), append(plainCount, plain.count)
	}
	warm, primed, cold, err := s.launches(ctx)
	if err != nil {
		return nil, err
	}
	each, err := warmGlue(ctx, s)
	if err != nil {
		return nil, err
	}
	p := median(plainIdle)
	return []row{
		{"warm StartSession → IDLE", spread(idle), "plain getOrCreate " + ms(p), fmt.Sprintf("%.0f × faster", float64(p)/float64(median(idle))),
			"p50 ≤ 25 ms, p99 ≤ 100 ms, ≥ 100 ×"},
		{"warm StartSession → first count done", spread(count), "plain pyspark " + ms(median(plainCount)), fmt.Sprintf("%.0f × faster", float64(median(plainCount))/float64(median(count))), "≤ 200 ms"},
		{"warm Glue CreateSession → READY → first statement done", spread(each), "", "", "≤ 100 ms"},
		{"GetSessionEndpoint → first Connect query, warm session", spread(connect), "", "", "≤ 250 ms"},
		{"the sessions above and what they found", fmt.Sprintf("%.0f warm, %.0f primed, %.0f cold", warm, primed, cold), "", "", fmt.Sprintf("%d warm", len(idle))},
	}, nil
}

// spread says the median of some times and the longest they may be called.
func spread(d []time.Duration) string {
	return ms(median(d)) + fmt.Sprintf(" (p99 %s, n %d)", ms(quantile(d, 0.99)), len(d))
}

// firstConnect asks for a session's endpoint and has its first query answered.
func firstConnect(ctx context.Context, s *server, id string, request []byte) (time.Duration, error) {
	began := time.Now()
	through, err := s.endpoint(ctx, id)
	if err != nil {
		return 0, err
	}
	l, err := through()
	if err != nil {
		return 0, err
	}
	defer l.Close() //nolint:errcheck // its call has ended
	_, _, err = l.call(ctx, "ExecutePlan", request)
	return time.Since(began), err
}

// warmGlue times Glue sessions from CreateSession to the end of the first
// statement. Nothing declares them: the first one, a cold one, teaches the pool.
func warmGlue(ctx context.Context, s *server) ([]time.Duration, error) {
	c := s.glue()
	var took []time.Duration
	for n := range 1 + 2*s.o.runs {
		if err := s.awaitPool(ctx, 1); err != nil {
			return nil, err
		}
		id := fmt.Sprintf("warm-%d", n)
		began := time.Now()
		if err := startGlue(ctx, c, id); err != nil {
			return nil, err
		}
		if _, err := statement(ctx, c, id, "1+1", "2"); err != nil {
			return nil, err
		}
		if n > 0 {
			took = append(took, time.Since(began))
		}
		if err := stopGlue(ctx, c, id); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// stopGlue ends a Glue session and waits until it is over.
func stopGlue(ctx context.Context, c *glue.Client, id string) error {
	if _, err := c.StopSession(ctx, &glue.StopSessionInput{Id: &id}); err != nil {
		return err
	}
	for {
		out, err := c.GetSession(ctx, &glue.GetSessionInput{Id: &id})
		if err != nil {
			return err
		}
		if out.Session.CompletedOn != nil {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
