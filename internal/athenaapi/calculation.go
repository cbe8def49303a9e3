package athenaapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/calc"
	"glaux/internal/fault"
)

// calculationHandlers are the operations on calculations.
func (a *API) calculationHandlers() map[string]awsapi.Handler {
	return map[string]awsapi.Handler{
		"StartCalculationExecution":     awsapi.Handle(a.StartCalculationExecution),
		"GetCalculationExecution":       awsapi.Handle(a.GetCalculationExecution),
		"GetCalculationExecutionStatus": awsapi.Handle(a.GetCalculationExecutionStatus),
		"GetCalculationExecutionCode":   awsapi.Handle(a.GetCalculationExecutionCode),
		"StopCalculationExecution":      awsapi.Handle(a.StopCalculationExecution),
		"ListCalculationExecutions":     awsapi.Handle(a.ListCalculationExecutions),
	}
}

// StartCalculationExecution runs a code block on an idle session.
func (a *API) StartCalculationExecution(ctx context.Context, who access.Caller, in *athena.StartCalculationExecutionInput) (*athena.StartCalculationExecutionOutput, error) {
	code, err := codeBlock(in)
	if err != nil {
		return nil, err
	}
	c, err := a.Calcs.Start(ctx, who, calc.Request{
		Session:     *in.SessionId,
		Code:        code,
		Description: aws.ToString(in.Description),
		Token:       aws.ToString(in.ClientRequestToken),
	})
	if err != nil {
		return nil, err
	}
	return &athena.StartCalculationExecutionOutput{CalculationExecutionId: &c.ID, State: calculationState(c.State)}, nil
}

// codeBlock is the code in either of its forms; exactly one is given.
func codeBlock(in *athena.StartCalculationExecutionInput) (string, error) {
	var old *string
	if in.CalculationConfiguration != nil {
		old = in.CalculationConfiguration.CodeBlock
	}
	if (in.CodeBlock == nil) == (old == nil) {
		return "", fault.Invalidf("Exactly one of CodeBlock and CalculationConfiguration.CodeBlock must be provided.")
	}
	if in.CodeBlock != nil {
		return *in.CodeBlock, nil
	}
	return *old, nil
}

// GetCalculationExecution returns all that is known of a calculation but its code.
func (a *API) GetCalculationExecution(ctx context.Context, who access.Caller, in *athena.GetCalculationExecutionInput) (*athena.GetCalculationExecutionOutput, error) {
	c, err := a.Calcs.Get(ctx, who, *in.CalculationExecutionId)
	if err != nil {
		return nil, err
	}
	return &athena.GetCalculationExecutionOutput{
		CalculationExecutionId: &c.ID,
		SessionId:              aws.String(string(c.Session)),
		Description:            filled(c.Description),
		WorkingDirectory:       filled(c.WorkingDir),
		Status:                 toCalculationStatus(&c),
		Statistics:             toCalculationStatistics(&c),
		Result:                 toCalculationResult(&c),
	}, nil
}

// GetCalculationExecutionStatus returns the state of a calculation.
func (a *API) GetCalculationExecutionStatus(ctx context.Context, who access.Caller, in *athena.GetCalculationExecutionStatusInput) (*athena.GetCalculationExecutionStatusOutput, error) {
	c, err := a.Calcs.GetStatus(ctx, who, *in.CalculationExecutionId)
	if err != nil {
		return nil, err
	}
	return &athena.GetCalculationExecutionStatusOutput{Status: toCalculationStatus(&c), Statistics: toCalculationStatistics(&c)}, nil
}

// GetCalculationExecutionCode returns the code of a calculation inline.
func (a *API) GetCalculationExecutionCode(ctx context.Context, who access.Caller, in *athena.GetCalculationExecutionCodeInput) (*athena.GetCalculationExecutionCodeOutput, error) {
	code, err := a.Calcs.Code(ctx, who, *in.CalculationExecutionId)
	if err != nil {
		return nil, err
	}
	return &athena.GetCalculationExecutionCodeOutput{CodeBlock: &code}, nil
}

// StopCalculationExecution asks a calculation to end.
func (a *API) StopCalculationExecution(ctx context.Context, who access.Caller, in *athena.StopCalculationExecutionInput) (*athena.StopCalculationExecutionOutput, error) {
	c, err := a.Calcs.Stop(ctx, who, *in.CalculationExecutionId)
	if err != nil {
		return nil, err
	}
	return &athena.StopCalculationExecutionOutput{State: calculationState(c.State)}, nil
}

// ListCalculationExecutions returns a page of a session's calculations, newest first.
func (a *API) ListCalculationExecutions(ctx context.Context, who access.Caller, in *athena.ListCalculationExecutionsInput) (*athena.ListCalculationExecutionsOutput, error) {
	list := a.listing(who, "ListCalculationExecutions", in.NextToken, *in.SessionId, string(in.StateFilter))
	after, err := list.cursor()
	if err != nil {
		return nil, err
	}
	all, next, more, err := a.Calcs.List(ctx, who, calc.ListRequest{
		Session: *in.SessionId, State: calc.State(in.StateFilter), After: after, Limit: limit(in.MaxResults),
	})
	if err != nil {
		return nil, err
	}
	out := &athena.ListCalculationExecutionsOutput{NextToken: list.next(next, more), Calculations: make([]types.CalculationSummary, 0, len(all))}
	for i := range all {
		out.Calculations = append(out.Calculations, types.CalculationSummary{
			CalculationExecutionId: &all[i].ID, Description: filled(all[i].Description), Status: toCalculationStatus(&all[i]),
		})
	}
	return out, nil
}

// calculationState is the wire's name for the state of a calculation.
func calculationState(s calc.State) types.CalculationExecutionState {
	return types.CalculationExecutionState(s)
}

func toCalculationStatus(c *calc.Calculation) *types.CalculationStatus {
	return &types.CalculationStatus{
		State:              calculationState(c.State),
		StateChangeReason:  filled(c.Reason), // absent on success: PyAthena wants that
		SubmissionDateTime: stamp(c.Submitted),
		CompletionDateTime: stamp(c.Completed),
	}
}

// toCalculationStatistics is never empty: PyAthena fails where it is.
func toCalculationStatistics(c *calc.Calculation) *types.CalculationStatistics {
	return &types.CalculationStatistics{DpuExecutionInMillis: aws.Int64(c.DPUMillis), Progress: aws.String(c.ProgressText())}
}

// toCalculationResult is there for calculations that ran to an end of their
// own, not for those that were cancelled.
func toCalculationResult(c *calc.Calculation) *types.CalculationResult {
	if c.State != calc.Completed && c.State != calc.Failed {
		return nil
	}
	if c.ResultURI == "" {
		return nil // it failed because they could not be written
	}
	return &types.CalculationResult{
		StdOutS3Uri: &c.StdoutURI, StdErrorS3Uri: &c.StderrURI, ResultS3Uri: &c.ResultURI, ResultType: filled(c.ResultType),
	}
}
