// Package logsapi holds the operations of CloudWatch Logs: each takes the
// SDK's input, calls package logs, and makes the SDK's output. Constraints of
// the model are checked before an operation is called, so required members are
// never nil here.
package logsapi

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"glaux/internal/awsapi"
	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/logs"
)

// API is what the operations stand on. All fields are required.
type API struct {
	Home ident.Home
	Logs *logs.Manager
}

// Operations returns the operation table of the service: every operation of
// the model, with a handler where one is built.
func (a *API) Operations() ([]awsapi.Operation, error) {
	return awsapi.Table(awsapi.Logs, map[string]awsapi.Handler{
		"CreateLogGroup":                awsapi.Handle(a.CreateLogGroup),
		"DeleteLogGroup":                awsapi.Handle(a.DeleteLogGroup),
		"DescribeLogGroups":             awsapi.Handle(a.DescribeLogGroups),
		"PutLogGroupDeletionProtection": awsapi.Handle(a.PutLogGroupDeletionProtection),
		"PutRetentionPolicy":            awsapi.Handle(a.PutRetentionPolicy),
		"DeleteRetentionPolicy":         awsapi.Handle(a.DeleteRetentionPolicy),
		"CreateLogStream":               awsapi.Handle(a.CreateLogStream),
		"DeleteLogStream":               awsapi.Handle(a.DeleteLogStream),
		"DescribeLogStreams":            awsapi.Handle(a.DescribeLogStreams),
		"PutLogEvents":                  awsapi.Handle(a.PutLogEvents),
		"GetLogEvents":                  awsapi.Handle(a.GetLogEvents),
		"FilterLogEvents":               awsapi.Handle(a.FilterLogEvents),
		"TagResource":                   awsapi.Handle(a.TagResource),
		"UntagResource":                 awsapi.Handle(a.UntagResource),
		"ListTagsForResource":           awsapi.Handle(a.ListTagsForResource),
		"TagLogGroup":                   awsapi.Handle(a.TagLogGroup),
		"UntagLogGroup":                 awsapi.Handle(a.UntagLogGroup),
		"ListTagsLogGroup":              awsapi.Handle(a.ListTagsLogGroup),
	})
}

// pageSize is how many groups or streams a page has when the caller does not say.
const pageSize = 50

func limit(n *int32) int {
	if n == nil {
		return pageSize
	}
	return int(*n)
}

// group returns the name of the group that a request names in one of two ways.
func (a *API) group(name, identifier *string) (string, error) {
	switch {
	case (name == nil) == (identifier == nil):
		return "", fault.Invalidf("You must include one of logGroupIdentifier or logGroupName, but not both.")
	case name != nil:
		return *name, nil
	}
	return a.Logs.Name(*identifier)
}

// at is the time of milliseconds since 1970; zero without them.
func at(ms *int64) time.Time {
	if ms == nil {
		return time.Time{}
	}
	return time.UnixMilli(*ms)
}

// millis undoes at.
func millis(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return aws.Int64(t.UnixMilli())
}

// filled is a pointer to s, nil when it is empty.
func filled(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
