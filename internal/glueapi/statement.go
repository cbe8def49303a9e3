package glueapi

import (
	"context"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/glue"

	"glaux/internal/access"
	"glaux/internal/awsapi"
)

// The bounds of a page of ListStatements, whose callers cannot ask for a size.
// Many of them do not page, so that a page is large.
const (
	statementsPerPage = 1000
	bytesPerPage      = 8 << 20
)

// statementHandlers are the operations on statements.
func (a *API) statementHandlers() map[string]awsapi.Handler {
	return map[string]awsapi.Handler{
		"RunStatement":    awsapi.Handle(a.RunStatement),
		"GetStatement":    awsapi.Handle(a.GetStatement),
		"ListStatements":  awsapi.Handle(a.ListStatements),
		"CancelStatement": awsapi.Handle(a.CancelStatement),
	}
}

// RunStatement puts code at the end of a session's queue.
func (a *API) RunStatement(ctx context.Context, who access.Caller, in *glue.RunStatementInput) (*RunStatementOutput, error) {
	st, err := a.Statements.Start(ctx, who, *in.SessionId, *in.Code)
	if err != nil {
		return nil, err
	}
	return &RunStatementOutput{ID: st.ID}, nil
}

// GetStatement returns one statement, with its output once it is over.
func (a *API) GetStatement(ctx context.Context, who access.Caller, in *glue.GetStatementInput) (*GetStatementOutput, error) {
	st, err := a.Statements.Get(ctx, who, *in.SessionId, int(in.Id))
	if err != nil {
		return nil, err
	}
	return &GetStatementOutput{st}, nil
}

// ListStatements returns a page of a session's statements, the oldest first.
func (a *API) ListStatements(ctx context.Context, who access.Caller, in *glue.ListStatementsInput) (*ListStatementsOutput, error) {
	list := a.listing(who, "ListStatements", in.NextToken, *in.SessionId)
	from, err := list.number()
	if err != nil {
		return nil, err
	}
	page, more, err := a.Statements.List(ctx, who, *in.SessionId, from, statementsPerPage, bytesPerPage)
	if err != nil {
		return nil, err
	}
	out := &ListStatementsOutput{Statements: page}
	if more {
		out.NextToken = *list.at(strconv.Itoa(page[len(page)-1].ID+1), more)
	}
	return out, nil
}

// number is the number of the item with which a page begins.
func (l listing) number() (int, error) {
	text, err := l.place()
	if err != nil || text == "" {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, badToken(err)
	}
	return n, nil
}

// CancelStatement asks a statement to end.
func (a *API) CancelStatement(ctx context.Context, who access.Caller, in *glue.CancelStatementInput) (*glue.CancelStatementOutput, error) {
	if err := a.Statements.Cancel(ctx, who, *in.SessionId, int(in.Id)); err != nil {
		return nil, err
	}
	return &glue.CancelStatementOutput{}, nil
}
