package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"
)

// logLines is how many lines are written, a tenth of a second apart.
const logLines = 60

// writeLines writes lines to the driver's stderr, each with the time it is written at.
const writeLines = `
import time
system = spark.sparkContext._jvm.java.lang.System
for i in range(%d):
    system.err.println("line " + str(time.time_ns()))
    time.sleep(0.1)
`

// measureLogs times lines from where the driver writes them until
// FilterLogEvents shows them, to a client that asks all the time.
func measureLogs(ctx context.Context, s *server) ([]row, error) {
	c := s.athena()
	id, err := startSession(ctx, c)
	if err != nil {
		return nil, err
	}
	calc, err := c.StartCalculationExecution(ctx, &athena.StartCalculationExecutionInput{SessionId: &id, CodeBlock: aws.String(fmt.Sprintf(writeLines, logLines))})
	if err != nil {
		return nil, err
	}
	took, err := s.awaitLines(ctx, id)
	if err != nil {
		return nil, err
	}
	if _, err := awaitCalculation(ctx, c, calc.CalculationExecutionId, 20*time.Millisecond); err != nil {
		return nil, err
	}
	return []row{{
		"log line written by the driver → visible by FilterLogEvents", ms(median(took)) + fmt.Sprintf(" (slowest %s)", ms(quantile(took, 1))), "", "", "≤ 2 s",
	}}, nil
}

// awaitLines asks for the session's stderr until all lines are there, and
// returns how old each was when it was first seen.
func (s *server) awaitLines(ctx context.Context, id string) ([]time.Duration, error) {
	logs := cloudwatchlogs.New(cloudwatchlogs.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.url), Retryer: aws.NopRetryer{},
		Credentials: credentials.StaticCredentialsProvider{Value: s.cred},
	})
	seen := map[string]bool{}
	var took []time.Duration
	for began := time.Now(); len(took) < logLines; {
		if time.Since(began) > 2*time.Minute {
			return nil, fmt.Errorf("only %d of %d lines arrived", len(took), logLines)
		}
		out, err := logs.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{
			LogGroupName: aws.String("/glaux/managed/spark"), LogStreamNames: []string{id + "/driver/stderr"}, FilterPattern: aws.String("line"),
		})
		now := time.Now()
		if err != nil {
			// The group comes with the session. And now and then the SDK closes a
			// connection under its own reader, with any server; it asks again.
			_, missing := errors.AsType[*cwtypes.ResourceNotFoundException](err)
			if _, cut := errors.AsType[*smithy.DeserializationError](err); !missing && !cut {
				return nil, err
			}
		}
		if out != nil {
			for _, e := range out.Events {
				var at int64
				if n, _ := fmt.Sscanf(aws.ToString(e.Message), "line %d", &at); n == 1 && !seen[*e.EventId] {
					seen[*e.EventId] = true
					took = append(took, now.Sub(time.Unix(0, at)))
				}
			}
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return took, nil
}
