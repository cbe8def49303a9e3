// Package access says who calls and what they may do: callers, credentials,
// roles, the decision on every operation and its audit entry.
package access

import "context"

// Caller is the authenticated sender of a request.
type Caller struct {
	Account     string // twelve digits
	ARN         string // arn:aws:iam::…:root, :user/NAME or arn:aws:sts::…:assumed-role/ROLE/NAME
	UserID      string // the account id for root, AIDA… for a key of the config file, AROA…:NAME for a role
	AccessKeyID string
	Role        string // ARN of the assumed role; empty for root and users
	SessionKey  string // key of the session whose execution role this is; empty otherwise
	Workgroup   string // workgroup of that session; empty otherwise
	GlueSession string // Glue's id of that session; empty otherwise
}

// Root reports whether the caller is the account's root.
func (c Caller) Root() bool { return c.Role == "" && c.UserID == c.Account }

// Decider answers whether a caller may do something. Every operation asks it
// exactly where it acts, S3 included.
type Decider interface {
	// Decide returns nil, or a fault of kind Denied with AWS's text. action is
	// an IAM action such as "athena:StartSession"; resource is an ARN or "*".
	// It writes the audit entry, never blocks on I/O and is safe for
	// concurrent use.
	Decide(ctx context.Context, who Caller, action, resource string) error
}
