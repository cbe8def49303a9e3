package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

//go:embed plain.py
var plain string

// plainStart runs plain pyspark in a fresh Python and returns its two times,
// measured from the start of the process.
func plainStart(ctx context.Context, o options) (session, count time.Duration, err error) {
	cmd := exec.CommandContext(ctx, o.python, "-c", plain)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch lines.Text() {
		case "session":
			session = time.Since(began)
		case "count":
			count = time.Since(began)
		}
	}
	return session, count, cmd.Wait()
}

// startSession starts a session with the Spark properties, names and values in
// turn, and polls until it is IDLE.
func startSession(ctx context.Context, c *athena.Client, properties ...string) (string, error) {
	config := &types.EngineConfiguration{MaxConcurrentDpus: aws.Int32(2)}
	for pair := range slices.Chunk(properties, 2) {
		if config.SparkProperties == nil {
			config.SparkProperties = map[string]string{}
		}
		config.SparkProperties[pair[0]] = pair[1]
	}
	out, err := c.StartSession(ctx, &athena.StartSessionInput{WorkGroup: aws.String("spark"), EngineConfiguration: config})
	if err != nil {
		return "", err
	}
	for {
		st, err := c.GetSessionStatus(ctx, &athena.GetSessionStatusInput{SessionId: out.SessionId})
		if err != nil {
			return "", err
		}
		switch st.Status.State {
		case types.SessionStateIdle:
			return *out.SessionId, nil
		case types.SessionStateFailed, types.SessionStateTerminated:
			return "", fmt.Errorf("session ended: %s", aws.ToString(st.Status.StateChangeReason))
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return "", err
		}
	}
}

// calculate runs code and polls at the given pause until it ended. Polling
// without a pause takes a core of its own from what is measured.
func calculate(ctx context.Context, c *athena.Client, id, code string, every time.Duration) (*types.CalculationResult, error) {
	out, err := c.StartCalculationExecution(ctx, &athena.StartCalculationExecutionInput{SessionId: &id, CodeBlock: &code})
	if err != nil {
		return nil, err
	}
	return awaitCalculation(ctx, c, out.CalculationExecutionId, every)
}

// awaitCalculation polls at the given pause until a calculation ended.
func awaitCalculation(ctx context.Context, c *athena.Client, id *string, every time.Duration) (*types.CalculationResult, error) {
	for {
		st, err := c.GetCalculationExecution(ctx, &athena.GetCalculationExecutionInput{CalculationExecutionId: id})
		if err != nil {
			return nil, err
		}
		switch st.Status.State {
		case types.CalculationExecutionStateCompleted:
			return st.Result, nil
		case types.CalculationExecutionStateFailed, types.CalculationExecutionStateCanceled:
			return nil, errors.New(aws.ToString(st.Status.StateChangeReason))
		}
		if every > 0 {
			if err := pause(ctx, every); err != nil {
				return nil, err
			}
		}
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// measureSession times cold sessions against plain pyspark, alternating.
func measureSession(ctx context.Context, s *server) ([]row, error) {
	c := s.athena()
	var idle, count, plainIdle, plainCount []time.Duration
	for range s.o.runs {
		began := time.Now()
		id, err := startSession(ctx, c)
		if err != nil {
			return nil, err
		}
		idle = append(idle, time.Since(began))
		if _, err := calculate(ctx, c, id, "spark.range(10).count()", 5*time.Millisecond); err != nil {
			return nil, err
		}
		count = append(count, time.Since(began))
		if err := terminate(ctx, c, id); err != nil {
			return nil, err
		}
		ps, pc, err := plainStart(ctx, s.o)
		if err != nil {
			return nil, err
		}
		plainIdle, plainCount = append(plainIdle, ps), append(plainCount, pc)
	}
	return []row{
		pair("cold StartSession → IDLE (median)", median(idle), "plain getOrCreate", median(plainIdle), "≤ 0.65 ×"),
		pair("cold StartSession → first count done (median)", median(count), "plain pyspark", median(plainCount), "≤ 0.65 ×"),
	}, nil
}

// terminate ends a session and waits until it is gone, so that it takes no CPU from what is measured next.
func terminate(ctx context.Context, c *athena.Client, id string) error {
	if _, err := c.TerminateSession(ctx, &athena.TerminateSessionInput{SessionId: &id}); err != nil {
		return err
	}
	for {
		st, err := c.GetSessionStatus(ctx, &athena.GetSessionStatusInput{SessionId: &id})
		if err != nil {
			return err
		}
		if st.Status.State == types.SessionStateTerminated || st.Status.State == types.SessionStateFailed {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// pair makes a row of two durations and their ratio.
func pair(what string, ours time.Duration, name string, peer time.Duration, target string) row {
	return row{what, ms(ours), name + " " + ms(peer), fmt.Sprintf("%.2f ×", float64(ours)/float64(peer)), target}
}

// measureCalculation times 1+1 on an idle session until its three objects can be read.
func measureCalculation(ctx context.Context, s *server) ([]row, error) {
	c, objects := s.athena(), s.s3()
	id, err := startSession(ctx, c)
	if err != nil {
		return nil, err
	}
	const warm, n = 20, 200
	var took []time.Duration
	for i := range warm + n {
		began := time.Now()
		res, err := calculate(ctx, c, id, "1+1", 0)
		if err != nil {
			return nil, err
		}
		d := time.Since(began)
		for _, uri := range []*string{res.StdOutS3Uri, res.StdErrorS3Uri, res.ResultS3Uri} {
			bucket, key, _ := strings.Cut(strings.TrimPrefix(aws.ToString(uri), "s3://"), "/")
			if _, err := objects.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key}); err != nil {
				return nil, fmt.Errorf("COMPLETED, but %s cannot be read: %w", aws.ToString(uri), err)
			}
		}
		if i >= warm {
			took = append(took, d)
		}
	}
	bare, err := bareCell(ctx, s.o)
	if err != nil {
		return nil, err
	}
	return []row{{
		"calculation 1+1, start → COMPLETED, objects readable", ms(median(took)) + fmt.Sprintf(" (p99 %s)", ms(quantile(took, 0.99))),
		"bare exec in Python " + ms(bare), "", "≤ 15 ms median",
	}}, nil
}

// bareCell is the floor: one eval round trip to a Python over a pipe.
func bareCell(ctx context.Context, o options) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, o.python, "-u", "-c", "import sys\nfor l in sys.stdin: print(eval(l), flush=True)")
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	lines := bufio.NewReader(out)
	var took []time.Duration
	for range 200 {
		began := time.Now()
		if _, err := in.Write([]byte("1+1\n")); err != nil {
			return 0, err
		}
		if _, err := lines.ReadString('\n'); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	return median(took), errors.Join(in.Close(), cmd.Wait())
}

// marshal encodes a request body.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only maps of strings come here
	}
	return b
}
