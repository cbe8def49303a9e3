package access

import (
	"context"

	"glaux/internal/fault"
	"glaux/internal/ident"
)

// MayPass asks whether who may hand a role to the service, for what runs as
// it later. A role of another account is refused whoever asks. No role, no
// question.
func MayPass(ctx context.Context, d Decider, home ident.Home, who Caller, role string) error {
	if role == "" {
		return nil
	}
	m := roleARNForm.FindStringSubmatch(role)
	if m == nil || len(m[3]) > maxRolePath {
		return fault.Invalidf("%s is not a valid role ARN.", role)
	}
	if m[1] != home.Partition || m[2] != who.Account {
		return fault.New(fault.Denied, "Cross-account pass role is not allowed.")
	}
	return d.Decide(ctx, who, "iam:PassRole", role)
}
