package compat

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
)

// TestGoSDKStatements runs statements of a Glue session through the SDK for Go.
func TestGoSDKStatements(t *testing.T) {
	c := glue.NewFromConfig(mustServe(t))
	ctx, id := t.Context(), aws.String("go sdk")
	must[*glue.CreateSessionOutput](t)(c.CreateSession(ctx, &glue.CreateSessionInput{
		Id: id, Role: aws.String("arn:aws:iam::000000000000:role/any"), Command: &types.SessionCommand{Name: aws.String("glueetl")},
	}))
	await(t, "the session is READY", time.Minute, func() bool {
		return must[*glue.GetSessionOutput](t)(c.GetSession(ctx, &glue.GetSessionInput{Id: id})).Session.Status == types.SessionStatusReady
	})
	get := func(n int32) *types.Statement {
		return must[*glue.GetStatementOutput](t)(c.GetStatement(ctx, &glue.GetStatementInput{SessionId: id, Id: n})).Statement
	}
	run := func(code string) int32 {
		return must[*glue.RunStatementOutput](t)(c.RunStatement(ctx, &glue.RunStatementInput{SessionId: id, Code: &code})).Id
	}
	if n := run("6*7"); n != 0 {
		t.Errorf("the first statement is %d", n)
	}
	await(t, "the first is over", 30*time.Second, func() bool { return get(0).State == types.StatementStateAvailable })
	st := get(0)
	if o := st.Output; o == nil || o.Status != "ok" || aws.ToString(o.Data.TextPlain) != "42" || st.Progress != 1 || st.CompletedOn < st.StartedOn {
		t.Errorf("the first is %+v, %+v", st, st.Output)
	}
	broken, loop := run("nobody"), run("while True: pass")
	await(t, "the second is over", 30*time.Second, func() bool { return get(broken).State == types.StatementStateAvailable })
	if o := get(broken).Output; o.Status != "error" || aws.ToString(o.ErrorName) != "NameError" || !strings.Contains(aws.ToString(o.ErrorValue), "nobody") || len(o.Traceback) == 0 {
		t.Errorf("the second is %+v", o)
	}
	await(t, "the loop runs", 30*time.Second, func() bool { return get(loop).State == types.StatementStateRunning })
	must[*glue.CancelStatementOutput](t)(c.CancelStatement(ctx, &glue.CancelStatementInput{SessionId: id, Id: loop}))
	await(t, "the loop is cancelled", 30*time.Second, func() bool { return get(loop).State == types.StatementStateCancelled })
	all := must[*glue.ListStatementsOutput](t)(c.ListStatements(ctx, &glue.ListStatementsInput{SessionId: id})).Statements
	if len(all) != 3 || all[2].State != types.StatementStateCancelled || aws.ToString(all[0].Code) != "6*7" {
		t.Errorf("the list is %+v", all)
	}
	_, err := c.GetStatement(ctx, &glue.GetStatementInput{SessionId: id, Id: 9})
	wantCode(t, err, "EntityNotFoundException")
	_, err = c.RunStatement(ctx, &glue.RunStatementInput{SessionId: aws.String("nobody"), Code: aws.String("1")})
	wantCode(t, err, "EntityNotFoundException")
	must[*glue.StopSessionOutput](t)(c.StopSession(ctx, &glue.StopSessionInput{Id: id}))
}
