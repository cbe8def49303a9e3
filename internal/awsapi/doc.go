// Package awsapi speaks the AWS wire protocols: JSON 1.1 (Athena, Glue, Logs) and
// the query protocol with XML replies (STS, IAM).
//
// An operation is a function of (context, caller, input) to (output, error).
// This package finds it by the request's target, authenticates the caller,
// decodes and validates the input, calls it, and encodes what it returns.
// The types of the AWS SDK for Go are the wire types; what the SDK lacks,
// namely constraints and the complete list of operations, is generated from
// the pinned botocore model into the data files of directory model.
//
// Failures inside the server are faults (package fault). They become modelled
// exceptions here and nowhere else; everything that is not a fault is
// answered as an internal failure that shows nothing but the request's id.
package awsapi

//go:generate go run ./modelgen
