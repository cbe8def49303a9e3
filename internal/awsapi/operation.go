package awsapi

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/smithy-go"

	"glaux/internal/access"
)

// Signing names of the services; also the first half of their IAM actions.
const (
	Athena = "athena"
	Glue   = "glue"
	IAM    = "iam"
	Logs   = "logs" // CloudWatch Logs
	STS    = "sts"
)

// Operation is one row of the operation table.
type Operation struct {
	Service string  // signing name: Athena, Glue or Logs
	Name    string  // as in X-Amz-Target, after the dot
	Action  string  // IAM action that package access is asked about
	Handler Handler // nil: known but not built, answered 501 by name
}

// Handler runs one operation on the body of a request. Its result is encoded
// with the SDK's own schema. It is safe for concurrent use.
type Handler func(ctx context.Context, who access.Caller, body []byte) (smithy.Serializable, error)

// Handle adapts a typed operation to the dispatcher. In and Out are the SDK's
// types for the operation. The operation is called only with an input that
// satisfies the model, so its required members are not nil. An operation
// whose input has interface types (unions, documents) says what they hold.
func Handle[In, Out any, P interface {
	*Out
	smithy.Serializable
}](op func(context.Context, access.Caller, *In) (*Out, error), open ...Open) Handler {
	c := newCodec(reflect.TypeFor[In](), open)
	return func(ctx context.Context, who access.Caller, body []byte) (smithy.Serializable, error) {
		in := new(In)
		if err := c.decode(body, reflect.ValueOf(in).Elem()); err != nil {
			return nil, err
		}
		out, err := op(ctx, who, in)
		if err != nil {
			return nil, err
		}
		if out == nil {
			return nil, fmt.Errorf("operation with input %T returned neither output nor error", in)
		}
		return P(out), nil
	}
}

// Table returns every operation of the service that the model knows, in the
// model's order, with the given handlers, by operation name, put in. It fails
// on a handler whose name the model does not know.
func Table(service string, handlers map[string]Handler) ([]Operation, error) {
	known := operations(service)
	if known == nil {
		return nil, fmt.Errorf("cannot make an operation table for unknown service %q", service)
	}
	rows := make([]Operation, 0, len(known))
	for _, name := range known {
		rows = append(rows, Operation{Service: service, Name: name, Action: action(service, name), Handler: handlers[name]})
	}
	for name := range handlers {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("cannot handle %s.%s: the model has no such operation", service, name)
		}
	}
	return rows, nil
}

// operations lists the operation names of a service in the model's order.
func operations(service string) []string {
	switch service {
	case Athena:
		return athenaOperations()
	case Glue:
		return glueOperations()
	case IAM:
		return iamOperations()
	case Logs:
		return logsOperations()
	case STS:
		return stsOperations()
	}
	return nil
}

// action returns the IAM action an operation is authorised by. It is named
// after the operation except where the model's documentation says otherwise.
func action(service, name string) string {
	if service == Glue {
		// Column statistics are guarded by the table or partition they belong to.
		for _, thing := range []string{"Table", "Partition"} {
			if verb, ok := strings.CutSuffix(name, "ColumnStatisticsFor"+thing); ok {
				return Glue + ":" + verb + thing
			}
		}
	}
	return service + ":" + name
}
