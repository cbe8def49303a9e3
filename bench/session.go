package main

import (
	"bufio"
	"context"
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

// startSession starts a session with the Spark properties, names and values in
// turn, and polls until it is IDLE.
func startSession(ctx context.Context, c *athena.Client, properties ...string) (string, error) {
	return startPolled(ctx, c, 5*time.Millisecond, properties...)
}

// startPolled does it with a pause of one's own between two polls.
func startPolled(ctx context.Context, c *athena.Client, every time.Duration, properties ...string) (string, error) {
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
	_, err = awaitIdle(ctx, c, *out.SessionId, every)
	return *out.SessionId, err
}

// awaitIdle polls until a session is IDLE.
func awaitIdle(ctx context.Context, c *athena.Client, id string, every time.Duration) (*types.SessionStatus, error) {
	for {
		st, err := c.GetSessionStatus(ctx, &athena.GetSessionStatusInput{SessionId: &id})
		if err != nil {
			return nil, err
		}
		switch st.Status.State {
		case types.SessionStateIdle:
			return st.Status, nil
		case types.SessionStateFailed, types.SessionStateTerminated:
			return nil, fmt.Errorf("session ended: %s", aws.ToString(st.Status.StateChangeReason))
		}
		if err := pause(ctx, every); err != nil {
			return nil, err
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

// cold is what one cold session took, or its peer.
type cold struct{ idle, count, cpu time.Duration }

// coldStart starts a session cold, runs its first count and ends it.
func coldStart(ctx context.Context, s *server) (took cold, err error) {
	c := s.athena()
	used, err := s.allCPU()
	if err != nil {
		return took, err
	}
	began := time.Now()
	id, err := startSession(ctx, c)
	if err != nil {
		return took, err
	}
	took.idle = time.Since(began)
	if _, err := calculate(ctx, c, id, "spark.range(10).count()", 5*time.Millisecond); err != nil {
		return took, err
	}
	took.count = time.Since(began)
	shim, err := s.shim(id)
	if err != nil {
		return took, err
	}
	if took.cpu, err = treeCPU(shim); err != nil {
		return took, err
	}
	later, err := s.allCPU()
	if err != nil {
		return took, err
	}
	took.cpu += later - used
	return took, terminate(ctx, c, id)
}

// coldPlain does the same with plain pyspark.
func coldPlain(ctx context.Context, o options) (took cold, err error) {
	p, err := startPlain(ctx, o)
	if err != nil {
		return took, err
	}
	took.idle, took.count = p.session, p.count
	if took.cpu, err = treeCPU(p.pid()); err != nil {
		return took, err
	}
	return took, p.stop()
}

// measureCold times cold sessions against plain pyspark, alternating.
func measureCold(ctx context.Context, s *server) ([]row, error) {
	var ours, plain coldTimes
	for range s.o.runs {
		took, err := coldStart(ctx, s)
		if err != nil {
			return nil, err
		}
		ours.add(took)
		if took, err = coldPlain(ctx, s.o); err != nil {
			return nil, err
		}
		plain.add(took)
	}
	return []row{
		pair("cold StartSession → IDLE (median)", median(ours.idle), "plain getOrCreate", median(plain.idle), "≤ 0.55 ×"),
		pair("cold StartSession → first count done (median)", median(ours.count), "plain pyspark", median(plain.count), "≤ 0.55 ×"),
		{"CPU of a cold start to its first count (median)", seconds(median(ours.cpu)), "plain pyspark " + seconds(median(plain.cpu)),
			ratio(median(ours.cpu), median(plain.cpu)), "≤ 5.5 s"},
	}, nil
}

// coldTimes gathers what cold starts took.
type coldTimes struct{ idle, count, cpu []time.Duration }

func (c *coldTimes) add(took cold) {
	c.idle, c.count, c.cpu = append(c.idle, took.idle), append(c.count, took.count), append(c.cpu, took.cpu)
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
	return row{what, ms(ours), name + " " + ms(peer), ratio(ours, peer), target}
}

// ratio says how many times the peer's something is.
func ratio(ours, peer time.Duration) string {
	return fmt.Sprintf("%.2f ×", float64(ours)/float64(peer))
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
