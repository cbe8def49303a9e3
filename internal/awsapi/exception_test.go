package awsapi

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"
	"github.com/aws/smithy-go"

	"glaux/internal/fault"
)

// TestExceptions checks every kind of fault in every service.
func TestExceptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind                         fault.Kind
		athena, glue, logs, sts, iam string
	}{
		{fault.Invalid, "400 InvalidRequestException", "400 InvalidInputException", "400 InvalidParameterException", "400 ValidationError", "400 ValidationError"},
		{fault.NotFound, "400 ResourceNotFoundException", "400 EntityNotFoundException", "400 ResourceNotFoundException", "400 NoSuchEntity", "404 NoSuchEntity"},
		{fault.Exists, "400 SessionAlreadyExistsException", "400 AlreadyExistsException", "400 ResourceAlreadyExistsException", "400 EntityAlreadyExists", "409 EntityAlreadyExists"},
		{fault.TooMany, "400 TooManyRequestsException", "400 ResourceNumberLimitExceededException", "400 LimitExceededException", "400 LimitExceeded", "409 LimitExceeded"},
		{fault.Throttled, "400 ThrottlingException", "400 ThrottlingException", "400 ThrottlingException", "400 Throttling", "400 Throttling"},
		{fault.Denied, "400 AccessDeniedException", "400 AccessDeniedException", "400 AccessDeniedException", "403 AccessDenied", "403 AccessDenied"},
		{fault.Unsupported, "501 NotImplementedException", "501 NotImplementedException", "501 NotImplementedException", "501 NotImplementedException", "501 NotImplementedException"},
		{fault.Unauthorized, "400 InvalidSignatureException", "400 InvalidSignatureException", "400 InvalidSignatureException", "403 SignatureDoesNotMatch", "403 SignatureDoesNotMatch"},
		{fault.Internal, "500 InternalServerException", "500 InternalServiceException", "500 ServiceUnavailableException", "500 InternalFailure", "500 ServiceFailure"},
	} {
		for service, want := range map[string]string{Athena: c.athena, Glue: c.glue, Logs: c.logs, STS: c.sts, IAM: c.iam} {
			x := exceptionOf(service, "id", fault.New(c.kind, "text"))
			if got := fmt.Sprint(x.status, " ", x.name); got != want {
				t.Errorf("kind %d of %s is %s, want %s", c.kind, service, got, want)
			}
		}
	}
}

// TestLogsTexts checks that CloudWatch Logs says "message", whatever the text is.
func TestLogsTexts(t *testing.T) {
	t.Parallel()
	for _, err := range []error{fault.New(fault.Invalid, "m"), &violationError{"m"}} {
		x := exceptionOf(Logs, "id", err)
		if got, want := string(x.json(false)), `{"__type":"InvalidParameterException","message":"m"}`; got != want {
			t.Errorf("have %s, want %s", got, want)
		}
	}
}

// TestSignatureExceptions checks the names of failed authentication.
func TestSignatureExceptions(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"MissingAuthenticationTokenException": "403 MissingAuthenticationToken",
		"IncompleteSignatureException":        "400 IncompleteSignature",
		"InvalidSignatureException":           "403 SignatureDoesNotMatch",
		"UnrecognizedClientException":         "403 InvalidClientTokenId",
		"ExpiredTokenException":               "403 ExpiredToken",
	} {
		err := &fault.Error{Kind: fault.Unauthorized, Code: name, Message: "m"}
		x := exceptionOf(Athena, "id", err)
		if x.status != 400 || x.name != name || string(x.json(false)) != `{"__type":"`+name+`","message":"m"}` {
			t.Errorf("%s is %d %s", name, x.status, x.json(false))
		}
		x = exceptionOf(STS, "id", err)
		if got := fmt.Sprint(x.status, " ", x.name); got != query {
			t.Errorf("%s is %s in the query protocol, want %s", name, got, query)
		}
	}
}

// TestNamedExceptions checks that a fault may name its exception, and that
// what is hidden stays so.
func TestNamedExceptions(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("while asked: %w", (&fault.Error{Kind: fault.Invalid, Code: "IllegalSessionStateException", Message: "m"}).Because(errors.New("hidden")))
	x := exceptionOf(Glue, "id", err)
	if x.name != "IllegalSessionStateException" || string(x.json(false)) != `{"__type":"IllegalSessionStateException","Message":"m"}` {
		t.Errorf("got %s", x.json(false))
	}
	if x.cause == nil || x.cause.Error() != "hidden" {
		t.Errorf("cause is %v", x.cause)
	}
}

// TestClientErrors checks that the SDK reads our errors as its own types.
func TestClientErrors(t *testing.T) {
	t.Parallel()
	client := athena.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(newWire(t).url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""),
	})
	get := func(name string) error {
		_, err := client.GetWorkGroup(t.Context(), &athena.GetWorkGroupInput{WorkGroup: &name})
		return err
	}
	if e, ok := errors.AsType[*types.InvalidRequestException](get("invalid")); !ok || aws.ToString(e.AthenaErrorCode) != "INVALID_INPUT" || e.ErrorMessage() != "WorkGroup is not found." {
		t.Errorf("invalid: %+v", e)
	}
	if e, ok := errors.AsType[*types.ResourceNotFoundException](get("missing")); !ok || aws.ToString(e.ResourceName) != "arn:x" {
		t.Errorf("missing: %+v", e)
	}
	if e, ok := errors.AsType[*types.TooManyRequestsException](get("many")); !ok || e.Reason != types.ThrottleReasonConcurrentQueryLimitExceeded {
		t.Errorf("many: %+v", e)
	}
	if _, ok := errors.AsType[*types.MetadataException](get("metadata")); !ok {
		t.Error("metadata is another type")
	}
	if e, ok := errors.AsType[smithy.APIError](get("denied")); !ok || e.ErrorCode() != "AccessDeniedException" {
		t.Errorf("denied: %v", e)
	}
	if _, err := client.ListNamedQueries(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "athena:ListNamedQueries is not implemented") {
		t.Errorf("not implemented: %v", err)
	}
}

// TestCoverage checks the table of the README.
func TestCoverage(t *testing.T) {
	t.Parallel()
	got := Coverage(
		[]Operation{{Service: Athena, Name: "A"}, {Service: Athena, Name: "B", Handler: Handle[athena.GetWorkGroupInput, athena.GetWorkGroupOutput](nil)}, {Service: Glue, Name: "C"}},
		[]QueryOperation{{Service: STS, Name: "D", Handler: HandleQuery[struct{}, struct{}](nil)}, {Service: STS, Name: "E", Handler: HandleQuery[struct{}, struct{}](nil)}},
	)
	const want = `| service | in the model | answered | operations |
|---|---:|---:|---|
| athena | 2 | 1 | B |
| glue | 1 | 0 | none yet |
| sts | 2 | 2 | D, E |
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
}
