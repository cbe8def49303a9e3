// Package ident makes and takes apart the names that leave the process:
// session and calculation ids, ARNs, and pagination tokens.
package ident

import "github.com/google/uuid"

// Home is the account and region a server speaks for; both are part of every ARN.
type Home struct {
	Partition string // "aws"
	Region    string // "us-east-1" unless configured
	Account   string // twelve digits, "000000000000" unless configured
}

// NewID returns a new random UUID in 8-4-4-4-12 lower-case hex, the form of
// Athena's session and calculation ids.
func NewID() string { return uuid.NewString() }

// IsID reports whether s has the form of an id; hex digits may be upper case.
func IsID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }

// Workgroup returns the ARN of an Athena workgroup.
func (h Home) Workgroup(name string) string {
	return "arn:" + h.Partition + ":athena:" + h.Region + ":" + h.Account + ":workgroup/" + name
}

// Session returns the ARN of an Athena session.
func (h Home) Session(workgroup, id string) string {
	return h.Workgroup(workgroup) + "/session/" + id
}

// User returns the ARN of an IAM user of the account.
func (h Home) User(name string) string {
	return "arn:" + h.Partition + ":iam::" + h.Account + ":user/" + name
}

// Role returns the ARN of an IAM role of the account.
func (h Home) Role(name string) string {
	return "arn:" + h.Partition + ":iam::" + h.Account + ":role/" + name
}
