package stsapi_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/ident"
	"glaux/internal/stsapi"
)

// service is STS behind a real HTTP server.
type service struct {
	url       string
	authority *access.Authority
}

func start(t *testing.T) *service {
	t.Helper()
	a, err := access.Open(t.Context(), access.Config{
		Dir:   t.TempDir(),
		Home:  ident.Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"},
		Users: []access.User{{Name: "ada", AccessKey: "AKIAADAADAADAADAADAA", SecretKey: "ada's own secret key"}},
		Roles: []access.Role{{Name: "chain", Allow: []access.Rule{{Actions: []string{"sts:*"}}}}, {Name: "deep/er/analyst"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	api := &stsapi.API{Authority: a}
	rows, err := api.Operations()
	if err != nil {
		t.Fatal(err)
	}
	q, err := awsapi.NewQuery(rows, awsapi.Options{Authenticator: a, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(q)
	t.Cleanup(srv.Close)
	return &service{srv.URL, a}
}

func (s *service) client(id, secret, token string) *sts.Client {
	return sts.New(sts.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.url), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}, nil
		}),
	})
}

func (s *service) root() *sts.Client {
	return s.client(s.authority.Root().AccessKeyID, s.authority.Root().SecretAccessKey, "")
}

func (s *service) ada() *sts.Client {
	return s.client("AKIAADAADAADAADAADAA", "ada's own secret key", "")
}

func (s *service) with(c *types.Credentials) *sts.Client {
	return s.client(aws.ToString(c.AccessKeyId), aws.ToString(c.SecretAccessKey), aws.ToString(c.SessionToken))
}

func wantIdentity(t *testing.T, c *sts.Client, arn string) {
	t.Helper()
	out, err := c.GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(out.Arn) != arn || aws.ToString(out.Account) != "000000000000" || aws.ToString(out.UserId) == "" {
		t.Errorf("got %s, %s, %s; want %s", aws.ToString(out.Arn), aws.ToString(out.Account), aws.ToString(out.UserId), arn)
	}
}

func wantError(t *testing.T, name string, err error, status int, code, text string) {
	t.Helper()
	var api smithy.APIError
	var http interface{ HTTPStatusCode() int }
	if !errors.As(err, &api) || !errors.As(err, &http) {
		t.Errorf("%s: got %v", name, err)
		return
	}
	if api.ErrorCode() != code || http.HTTPStatusCode() != status || !strings.Contains(api.ErrorMessage(), text) {
		t.Errorf("%s: got %d %s: %s; want %d %s: %s", name, http.HTTPStatusCode(), api.ErrorCode(), api.ErrorMessage(), status, code, text)
	}
}

const someRole = "arn:aws:iam::000000000000:role/team/anything"

func TestAssumeRole(t *testing.T) {
	t.Parallel()
	s := start(t)
	wantIdentity(t, s.root(), "arn:aws:iam::000000000000:root")
	wantIdentity(t, s.ada(), "arn:aws:iam::000000000000:user/ada")

	out, err := s.root().AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String(someRole), RoleSessionName: aws.String("me@work"), DurationSeconds: aws.Int32(900), ExternalId: aws.String("external"),
		SourceIdentity: aws.String("source"), Tags: []types.Tag{{Key: aws.String("Team"), Value: aws.String("data")}}, TransitiveTagKeys: []string{"team"},
	})
	if err != nil {
		t.Fatal(err)
	}
	arn := "arn:aws:sts::000000000000:assumed-role/anything/me@work"
	if aws.ToString(out.AssumedRoleUser.Arn) != arn || !strings.HasSuffix(aws.ToString(out.AssumedRoleUser.AssumedRoleId), ":me@work") || aws.ToString(out.SourceIdentity) != "source" {
		t.Errorf("got %+v", out.AssumedRoleUser)
	}
	if life := time.Until(*out.Credentials.Expiration); life > 15*time.Minute || life < 14*time.Minute {
		t.Errorf("lives %v", life)
	}
	wantIdentity(t, s.with(out.Credentials), arn)

	// A role may not assume another one unless its rules say so.
	_, err = s.with(out.Credentials).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(someRole), RoleSessionName: aws.String("me")})
	wantError(t, "chain", err, 403, "AccessDenied", "User: "+arn+" is not authorized to perform: sts:AssumeRole on resource: "+someRole)

	chain, err := s.ada().AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::000000000000:role/chain"), RoleSessionName: aws.String("me"), DurationSeconds: aws.Int32(43200)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.with(chain.Credentials).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(someRole), RoleSessionName: aws.String("me"), DurationSeconds: aws.Int32(3601)})
	wantError(t, "chained for long", err, 400, "ValidationError", "exceeds the 1 hour session limit for roles assumed by role chaining")
	if _, err = s.with(chain.Credentials).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(someRole), RoleSessionName: aws.String("me")}); err != nil {
		t.Error(err)
	}
}

func TestAssumeRoleRefusals(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, c := range map[string]struct {
		change func(*sts.AssumeRoleInput)
		status int
		code   string
		text   string
	}{
		"another account": {func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String("arn:aws:iam::111111111111:role/x") }, 403, "AccessDenied", "User: arn:aws:iam::000000000000:root is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111111111111:role/x"},
		"no role":         {func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String("arn:aws:iam::000000000000:user/ada") }, 400, "ValidationError", "Request ARN is invalid"},
		"short ARN":       {func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String("x") }, 400, "ValidationError", "1 validation error detected: Value 'x' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20"},
		"session name":    {func(in *sts.AssumeRoleInput) { in.RoleSessionName = aws.String("a b") }, 400, "ValidationError", "at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"},
		"too short a life": {func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(899) }, 400, "ValidationError",
			"at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900"},
		"too long a life": {func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(43201) }, 400, "ValidationError",
			"at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to 43200"},
		"same tag twice": {func(in *sts.AssumeRoleInput) {
			in.Tags = []types.Tag{{Key: aws.String("a"), Value: aws.String("")}, {Key: aws.String("A"), Value: aws.String("")}}
		}, 400, "ValidationError", "Duplicate tag keys found"},
		"reserved tag": {func(in *sts.AssumeRoleInput) {
			in.Tags = []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("")}}
		}, 400, "ValidationError", "reserved"},
		"transitive tag": {func(in *sts.AssumeRoleInput) { in.TransitiveTagKeys = []string{"a"} }, 400, "ValidationError", "transitive tag key"},
		"broken policy":  {func(in *sts.AssumeRoleInput) { in.Policy = aws.String("{") }, 400, "MalformedPolicyDocument", "invalid Json"},
		"policy":         {func(in *sts.AssumeRoleInput) { in.Policy = aws.String("{}") }, 501, "NotImplementedException", "session policies"},
		"policy ARN": {func(in *sts.AssumeRoleInput) {
			in.PolicyArns = []types.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")}}
		}, 501, "NotImplementedException", "session policies"},
		"token size": {func(in *sts.AssumeRoleInput) { in.MinimumSessionTokenSize = aws.Int32(4096) }, 501, "NotImplementedException", "MinimumSessionTokenSize"},
		"contexts": {func(in *sts.AssumeRoleInput) {
			in.ProvidedContexts = []types.ProvidedContext{{ProviderArn: aws.String("arn:aws:iam::aws:contextProvider/IdentityCenter"), ContextAssertion: aws.String("abcd")}}
		}, 501, "NotImplementedException", "ProvidedContexts"},
		"MFA": {func(in *sts.AssumeRoleInput) {
			in.SerialNumber, in.TokenCode = aws.String("arn:aws:iam::000000000000:mfa/x"), aws.String("123456")
		}, 403, "AccessDenied", "MultiFactorAuthentication failed"},
	} {
		in := &sts.AssumeRoleInput{RoleArn: aws.String(someRole), RoleSessionName: aws.String("me")}
		c.change(in)
		_, err := s.root().AssumeRole(t.Context(), in)
		wantError(t, name, err, c.status, c.code, c.text)
	}
}

func TestGetSessionToken(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []struct {
		client *sts.Client
		ask    *int32
		life   time.Duration
		arn    string
	}{
		{s.ada(), nil, 12 * time.Hour, "arn:aws:iam::000000000000:user/ada"},
		{s.ada(), aws.Int32(900), 15 * time.Minute, "arn:aws:iam::000000000000:user/ada"},
		{s.root(), nil, time.Hour, "arn:aws:iam::000000000000:root"},
		{s.root(), aws.Int32(129600), time.Hour, "arn:aws:iam::000000000000:root"},
	} {
		out, err := c.client.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{DurationSeconds: c.ask})
		if err != nil {
			t.Fatal(err)
		}
		if life := time.Until(*out.Credentials.Expiration); life > c.life || life < c.life-time.Minute {
			t.Errorf("%s: lives %v, want %v", c.arn, life, c.life)
		}
		wantIdentity(t, s.with(out.Credentials), c.arn)
		_, err = s.with(out.Credentials).GetSessionToken(t.Context(), nil)
		wantError(t, "again", err, 403, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	}
	_, err := s.ada().GetSessionToken(t.Context(), &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(1)})
	wantError(t, "too short", err, 400, "ValidationError", "durationSeconds")
}

func TestGetAccessKeyInfo(t *testing.T) {
	t.Parallel()
	s := start(t)
	token, err := s.ada().GetSessionToken(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{s.authority.Root().AccessKeyID, "AKIAADAADAADAADAADAA", aws.ToString(token.Credentials.AccessKeyId)} {
		out, err := s.root().GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: aws.String(id)})
		if err != nil || aws.ToString(out.Account) != "000000000000" {
			t.Errorf("%s: got %+v, %v", id, out, err)
		}
	}
	_, err = s.root().GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: aws.String("AKIAUNKNOWNUNKNOWNUN")})
	wantError(t, "unknown key", err, 400, "ValidationError", "AKIAUNKNOWNUNKNOWNUN")
}

func TestSignaturesOfSTS(t *testing.T) {
	t.Parallel()
	s := start(t)
	root := s.authority.Root()
	out, err := s.ada().GetSessionToken(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		client *sts.Client
		status int
		code   string
		text   string
	}{
		"wrong secret":   {s.client(root.AccessKeyID, "wrong", ""), 403, "SignatureDoesNotMatch", "The request signature we calculated does not match"},
		"unknown key":    {s.client("AKIAUNKNOWNUNKNOWNUN", "wrong", ""), 403, "InvalidClientTokenId", "The security token included in the request is invalid"},
		"no token":       {s.client(aws.ToString(out.Credentials.AccessKeyId), aws.ToString(out.Credentials.SecretAccessKey), ""), 403, "InvalidClientTokenId", "The security token included in the request is invalid"},
		"wrong token":    {s.client(aws.ToString(out.Credentials.AccessKeyId), aws.ToString(out.Credentials.SecretAccessKey), "wrong"), 403, "InvalidClientTokenId", "The security token included in the request is invalid"},
		"root and token": {s.client(root.AccessKeyID, root.SecretAccessKey, aws.ToString(out.Credentials.SessionToken)), 403, "InvalidClientTokenId", "The security token included in the request is invalid"},
	} {
		_, err := c.client.GetCallerIdentity(t.Context(), nil)
		wantError(t, name, err, c.status, c.code, c.text)
	}

	_, err = s.root().GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: aws.String("me")})
	wantError(t, "not built", err, 501, "NotImplementedException", "GetFederationToken")

	resp, err := http.PostForm(s.url, map[string][]string{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if resp.Body.Close(); err != nil || resp.StatusCode != 403 || !strings.Contains(string(text), "<Code>MissingAuthenticationToken</Code>") {
		t.Errorf("unsigned: got %s %s, %v", resp.Status, text, err)
	}
}

// TestPresignedIdentity asks who a presigned URL belongs to, as services do
// that take such a URL for a proof of identity.
func TestPresignedIdentity(t *testing.T) {
	t.Parallel()
	s := start(t)
	signed, err := sts.NewPresignClient(s.ada()).PresignGetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), signed.Method, signed.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(text), "<Arn>arn:aws:iam::000000000000:user/ada</Arn>") {
		t.Errorf("got %s %s, %v", resp.Status, text, err)
	}
}
