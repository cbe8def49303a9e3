// Package fault names the kinds of expected failure.
//
// An Error carries a kind, a message that is safe to show to the caller, and a
// cause that is not. Everything that is not an Error is unexpected: the wire
// runtimes log it under an id and answer "internal" with its text withheld.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what sort of expected failure an Error is. Package awsapi maps
// each kind to one modelled exception.
type Kind uint8

// The kinds. The comment names the exception the Athena API answers with.
const (
	Internal     Kind = iota // InternalServerException (HTTP 500)
	Invalid                  // InvalidRequestException
	NotFound                 // ResourceNotFoundException
	Exists                   // SessionAlreadyExistsException
	TooMany                  // TooManyRequestsException
	Throttled                // ThrottlingException, "Rate exceeded"
	Denied                   // AccessDeniedException
	Unsupported              // NotImplementedException (HTTP 501)
	Unauthorized             // one of the signature exceptions; Code names it
)

// Codes that Athena puts into AthenaErrorCode.
const (
	CodeInvalidInput       = "INVALID_INPUT"
	CodeIdempotentMismatch = "IDEMPOTENT_PARAMETER_MISMATCH"
)

// Error is one expected failure.
type Error struct {
	Kind     Kind
	Code     string // service error code such as INVALID_INPUT, or the exception of Unauthorized; may be empty
	Message  string // shown to the caller
	Resource string // name or ARN the failure is about; may be empty
	cause    error  // logged, never shown
}

// Error returns the caller-safe message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the hidden cause, for logging and errors.Is.
func (e *Error) Unwrap() error { return e.cause }

// New makes an Error of the kind with the formatted message.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// Invalidf makes an Invalid error with the code INVALID_INPUT.
func Invalidf(format string, args ...any) *Error {
	return &Error{Kind: Invalid, Code: CodeInvalidInput, Message: fmt.Sprintf(format, args...)}
}

// Because returns a copy of e that hides cause behind its message.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// About returns a copy of e that names the resource the failure is about.
func (e *Error) About(resource string) *Error {
	c := *e
	c.Resource = resource
	return &c
}

// Of returns the kind of err: Internal unless an Error is in its chain.
func Of(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
