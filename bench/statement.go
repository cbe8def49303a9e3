package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
)

// sqlClass is the kind of class that dbt sends in front of every query.
//
//go:embed sqlclass.py
var sqlClass string

// startGlue starts a Glue session and polls until it is READY.
func startGlue(ctx context.Context, c *glue.Client, id string) error {
	_, err := c.CreateSession(ctx, &glue.CreateSessionInput{
		Id: &id, Role: aws.String("arn:aws:iam::000000000000:role/bench"), Command: &types.SessionCommand{Name: aws.String("glueetl")},
	})
	if err != nil {
		return err
	}
	for {
		out, err := c.GetSession(ctx, &glue.GetSessionInput{Id: &id})
		if err != nil {
			return err
		}
		switch out.Session.Status {
		case types.SessionStatusReady:
			return nil
		case types.SessionStatusProvisioning:
		case types.SessionStatusFailed, types.SessionStatusTimeout, types.SessionStatusStopped, types.SessionStatusStopping:
			return fmt.Errorf("session ended: %s", aws.ToString(out.Session.ErrorMessage))
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// awaitStatement polls without a pause until a statement is over, and returns its text.
func awaitStatement(ctx context.Context, c *glue.Client, session string, id int32) (string, error) {
	for {
		out, err := c.GetStatement(ctx, &glue.GetStatementInput{SessionId: &session, Id: id})
		if err != nil {
			return "", err
		}
		switch out.Statement.State {
		case types.StatementStateWaiting, types.StatementStateRunning, types.StatementStateCancelling:
			continue
		case types.StatementStateAvailable, types.StatementStateCancelled, types.StatementStateError:
		}
		o := out.Statement.Output
		if o == nil || o.Status != "ok" || o.Data == nil {
			return "", errors.New("statement failed")
		}
		return aws.ToString(o.Data.TextPlain), nil
	}
}

// statement runs code to its end.
func statement(ctx context.Context, c *glue.Client, session, code, want string) (time.Duration, error) {
	began := time.Now()
	out, err := c.RunStatement(ctx, &glue.RunStatementInput{SessionId: &session, Code: &code})
	if err != nil {
		return 0, err
	}
	text, err := awaitStatement(ctx, c, session, out.Id)
	took := time.Since(began)
	if err == nil && text != want {
		err = fmt.Errorf("statement %d said %q, want %q", out.Id, text, want)
	}
	return took, err
}

//go:embed plainquery.py
var plainQuery string

// bareQuery is the same query in plain pyspark, in one process.
func bareQuery(ctx context.Context, o options) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, o.python, "-c", plainQuery)
	cmd.Stdin = strings.NewReader(sqlClass)
	out, err := cmd.Output()
	if err != nil {
		return 0, err
	}
	lines := strings.Fields(string(out))
	var took []time.Duration
	for _, line := range lines {
		d, err := time.ParseDuration(line)
		if err != nil {
			return 0, err
		}
		took = append(took, d)
	}
	return median(took), nil
}

// measureStatement times statements of a Glue session.
func measureStatement(ctx context.Context, s *server) ([]row, error) {
	const warm, n, queued = 20, 200, 200
	c, id := s.glue(), "bench"
	if err := startGlue(ctx, c, id); err != nil {
		return nil, err
	}
	var single, query []time.Duration
	for i := range warm + n {
		took, err := statement(ctx, c, id, "1+1", "2")
		if err != nil {
			return nil, err
		}
		if i >= warm {
			single = append(single, took)
		}
	}
	for i := range 10 + 50 {
		if _, err := statement(ctx, c, id, sqlClass, ""); err != nil {
			return nil, err
		}
		took, err := statement(ctx, c, id, `Wrapper.execute('select 1 as one', output=True)`, `{"type": "results", "rowcount": 1, "results": [{"type": "record", "data": {"one": 1}}], "description": [{"name": "one", "type": "IntegerType"}]}`)
		if err != nil {
			return nil, err
		}
		if i >= 10 {
			query = append(query, took)
		}
	}
	began := time.Now()
	var last int32
	for i := range queued {
		out, err := c.RunStatement(ctx, &glue.RunStatementInput{SessionId: &id, Code: aws.String(fmt.Sprintf("%d*2", i))})
		if err != nil {
			return nil, err
		}
		if i > 0 && out.Id != last+1 {
			return nil, fmt.Errorf("statement %d follows %d", out.Id, last)
		}
		last = out.Id
	}
	if _, err := awaitStatement(ctx, c, id, last); err != nil {
		return nil, err
	}
	each := time.Since(began) / queued
	for i := range int32(queued) { // order and results
		text, err := awaitStatement(ctx, c, id, last-queued+1+i)
		if err != nil || text != fmt.Sprint(i*2) {
			return nil, fmt.Errorf("statement %d said %q, %w", i, text, err)
		}
	}
	bare, err := bareCell(ctx, s.o)
	if err != nil {
		return nil, err
	}
	plain, err := bareQuery(ctx, s.o)
	if err != nil {
		return nil, err
	}
	return []row{
		{"RunStatement 1+1 → AVAILABLE", ms(median(single)) + fmt.Sprintf(" (p99 %s)", ms(quantile(single, 0.99))), "bare exec in Python " + ms(bare), "", "≤ 15 ms median"},
		{"one-row query after a class of 5 KB", ms(median(query)) + fmt.Sprintf(" (p99 %s)", ms(quantile(query, 0.99))), "plain pyspark " + ms(plain), fmt.Sprintf("%.2f ×", float64(median(query))/float64(plain)), "≤ 60 ms median"},
		{"200 statements queued at once, each", ms(each), "", "", "≤ 20 ms"},
	}, nil
}
