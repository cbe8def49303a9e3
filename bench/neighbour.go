package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"
)

// loops are jobs that take all the processors they get until they are stopped.
var loops = [...]struct{ what, code string }{
	{"a SQL job", "while True: work_aggregate()"},
	{"a Python UDF job", "while True: work_udf()"},
}

// measureNeighbour times 1+1 in a session alone on the machine and while
// another session runs a heavy job.
func measureNeighbour(ctx context.Context, s *server) ([]row, error) {
	c := s.athena()
	quiet, err := startSession(ctx, c)
	if err != nil {
		return nil, err
	}
	busy, err := startSession(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, code := range []string{heavy, "work_prepare()", "work_aggregate()", "work_udf()"} {
		if _, err := calculate(ctx, c, busy, code, 5*time.Millisecond); err != nil {
			return nil, err
		}
	}
	if _, err := answers(ctx, c, quiet, 20); err != nil { // warms up
		return nil, err
	}
	var rows []row
	for _, job := range loops {
		alone, err := answers(ctx, c, quiet, 200)
		if err != nil {
			return nil, err
		}
		var beside []time.Duration
		if err := while(ctx, c, busy, job.code, func() error {
			beside, err = answers(ctx, c, quiet, 200)
			return err
		}); err != nil {
			return nil, err
		}
		p50, p99 := median(beside), quantile(beside, 0.99)
		rows = append(rows, row{
			"1+1 beside " + job.what + " in another session", ms(p50) + fmt.Sprintf(" (p99 %s)", ms(p99)),
			"alone " + ms(median(alone)) + fmt.Sprintf(" (p99 %s)", ms(quantile(alone, 0.99))),
			fmt.Sprintf("+ %s (p99 + %s)", ms(p50-median(alone)), ms(p99-quantile(alone, 0.99))), "≤ 50 ms added",
		})
	}
	return rows, nil
}

// answers times 1+1 n times, a little apart as a person's clients are.
func answers(ctx context.Context, c *athena.Client, id string, n int) ([]time.Duration, error) {
	var took []time.Duration
	for range n {
		began := time.Now()
		if _, err := calculate(ctx, c, id, "1+1", time.Millisecond); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// while runs a function beside code that does not end by itself, a second
// after that began, and then stops it.
func while(ctx context.Context, c *athena.Client, session, code string, do func() error) error {
	out, err := c.StartCalculationExecution(ctx, &athena.StartCalculationExecutionInput{SessionId: &session, CodeBlock: &code})
	if err != nil {
		return err
	}
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	stopped, err := c.StopCalculationExecution(ctx, &athena.StopCalculationExecutionInput{CalculationExecutionId: out.CalculationExecutionId})
	if err != nil {
		return err
	}
	for state := stopped.State; state != types.CalculationExecutionStateCanceled; {
		st, err := c.GetCalculationExecution(ctx, &athena.GetCalculationExecutionInput{CalculationExecutionId: out.CalculationExecutionId})
		if err != nil {
			return err
		}
		if state = st.Status.State; state == types.CalculationExecutionStateFailed || state == types.CalculationExecutionStateCompleted {
			return fmt.Errorf("the job that was to go on ended as %s", state)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
