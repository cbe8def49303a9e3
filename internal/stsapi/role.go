package stsapi

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"glaux/internal/access"
	"glaux/internal/fault"
)

// Role is a role on the wire.
type Role struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	ARN                      string `xml:"Arn"`
	CreateDate               string
	AssumeRolePolicyDocument string
	MaxSessionDuration       int
}

// FoundRole is the result of GetRole.
type FoundRole struct {
	Role Role
}

// GetRole tells about a role. Notebook kernels find so the ARN of the role
// that their own credentials are of.
func (a *API) GetRole(ctx context.Context, who access.Caller, in *iam.GetRoleInput) (*FoundRole, error) {
	name := aws.ToString(in.RoleName)
	r, ok := a.Authority.FindRole(who, name)
	if !ok {
		return nil, fault.New(fault.NotFound, "The role with name %s cannot be found.", name)
	}
	if err := a.Authority.Decide(ctx, who, "iam:GetRole", r.ARN); err != nil {
		return nil, err
	}
	trust, err := trustPolicy(r.ARN)
	if err != nil {
		return nil, err
	}
	return &FoundRole{Role{
		Path: r.Path, RoleName: r.Name, RoleID: r.ID, ARN: r.ARN, CreateDate: r.Created.Format(time.RFC3339),
		AssumeRolePolicyDocument: trust, MaxSessionDuration: int(longestRoleLife / time.Second),
	}}, nil
}

// trustPolicy says who may become a role here: what runs the sessions of the
// services, and in the account whoever its own rules let. It is encoded as
// IAM encodes documents.
func trustPolicy(role string) (string, error) {
	partition := strings.Split(role, ":")[1]
	account := strings.Split(role, ":")[4]
	type statement struct {
		Effect    string
		Principal map[string]any
		Action    string
	}
	text, err := json.Marshal(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", []statement{
		{"Allow", map[string]any{"Service": []string{"athena.amazonaws.com", "glue.amazonaws.com"}}, "sts:AssumeRole"},
		{"Allow", map[string]any{"AWS": "arn:" + partition + ":iam::" + account + ":root"}, "sts:AssumeRole"},
	}})
	if err != nil {
		return "", err
	}
	// RFC 3986 has no plus for a space.
	return strings.ReplaceAll(url.QueryEscape(string(text)), "+", "%20"), nil
}
