package stsapi_test

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// roles is a client of IAM with the same keys.
func (s *service) roles(c *types.Credentials) *iam.Client {
	id, secret, token := s.authority.Root().AccessKeyID, s.authority.Root().SecretAccessKey, ""
	if c != nil {
		id, secret, token = aws.ToString(c.AccessKeyId), aws.ToString(c.SecretAccessKey), aws.ToString(c.SessionToken)
	}
	return iam.New(iam.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.url), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}, nil
		}),
	})
}

// TestGetRole looks roles up as a notebook kernel does: by the name in its own
// identity, for the ARN to start sessions with.
func TestGetRole(t *testing.T) {
	t.Parallel()
	s := start(t)
	assumed, err := s.root().AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(someRole), RoleSessionName: aws.String("me")})
	if err != nil {
		t.Fatal(err)
	}
	id, _, _ := strings.Cut(aws.ToString(assumed.AssumedRoleUser.AssumedRoleId), ":")
	for _, c := range []struct {
		client          *iam.Client
		name, arn, path string
	}{
		{s.roles(assumed.Credentials), "anything", someRole, "/team/"}, // its own, with its path
		{s.roles(assumed.Credentials), "else", "arn:aws:iam::000000000000:role/else", "/"},
		{s.roles(nil), "anything", "arn:aws:iam::000000000000:role/anything", "/"},
		{s.roles(nil), "analyst", "arn:aws:iam::000000000000:role/deep/er/analyst", "/deep/er/"}, // of the configuration
	} {
		out, err := c.client.GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String(c.name)})
		if err != nil {
			t.Fatal(err)
		}
		r := out.Role
		if aws.ToString(r.Arn) != c.arn || aws.ToString(r.Path) != c.path || aws.ToString(r.RoleName) != c.name || aws.ToInt32(r.MaxSessionDuration) != 43200 {
			t.Errorf("got %+v", r)
		}
		if (aws.ToString(r.RoleId) == id) != (c.arn == someRole) || len(aws.ToString(r.RoleId)) != 21 || !strings.HasPrefix(aws.ToString(r.RoleId), "AROA") {
			t.Errorf("%s has the id %s; %s has %s", c.arn, aws.ToString(r.RoleId), someRole, id)
		}
		if age := time.Since(*r.CreateDate); age < 0 || age > time.Minute {
			t.Errorf("%s is %v old", c.arn, age)
		}
		wantTrust(t, aws.ToString(r.AssumeRolePolicyDocument))
	}
}

// wantTrust checks that a trust policy lets the services in, and has no byte
// that an encoded document has not.
func wantTrust(t *testing.T, encoded string) {
	t.Helper()
	text, err := url.PathUnescape(encoded)
	var trust struct {
		Statement []struct{ Principal map[string]any }
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &trust)
	}
	if err != nil || strings.ContainsAny(encoded, `{"+ `) || len(trust.Statement) != 2 || !strings.Contains(text, "glue.amazonaws.com") {
		t.Errorf("got %s, %v", encoded, err)
	}
}

func TestGetRoleRefusals(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, err := s.roles(nil).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("no name")})
	wantError(t, "name", err, 400, "ValidationError", "at 'roleName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]+")
	_, err = s.roles(nil).ListRoles(t.Context(), nil)
	wantError(t, "not built", err, 501, "NotImplementedException", "ListRoles")

	chain, err := s.root().AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::000000000000:role/chain"), RoleSessionName: aws.String("me")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.roles(chain.Credentials).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("chain")})
	wantError(t, "rules without it", err, 403, "AccessDenied", "is not authorized to perform: iam:GetRole on resource: arn:aws:iam::000000000000:role/chain")
}
