package awsapi

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"glaux/internal/access"
	"glaux/internal/fault"
)

// assumed is an output for encoding/xml.
type assumed struct {
	Session string   `xml:"AssumedRoleUser>AssumedRoleId"`
	Arn     string   `xml:"AssumedRoleUser>Arn"`
	Source  string   `xml:"SourceIdentity"`
	Extra   []string `xml:"Extra>member"`
}

// identity is another.
type identity struct {
	Account string
	Arn     string
	UserID  string `xml:"UserId"`
}

// newQuery serves a few STS operations.
func newQuery(t *testing.T) string {
	t.Helper()
	rows, err := QueryTable(STS, map[string]QueryHandler{
		"AssumeRole": HandleQuery(func(_ context.Context, _ access.Caller, in *sts.AssumeRoleInput) (*assumed, error) {
			if *in.RoleSessionName == "panic" {
				panic("secret")
			}
			out := &assumed{Session: *in.RoleSessionName, Arn: *in.RoleArn, Source: aws.ToString(in.SourceIdentity)}
			for _, p := range in.PolicyArns {
				out.Extra = append(out.Extra, *p.Arn)
			}
			for _, tag := range in.Tags {
				out.Extra = append(out.Extra, *tag.Key+"="+*tag.Value)
			}
			return out, nil
		}),
		"GetCallerIdentity": HandleQuery(func(_ context.Context, who access.Caller, _ *sts.GetCallerIdentityInput) (*identity, error) {
			return &identity{who.Account, who.ARN, who.UserID}, nil
		}),
		"GetSessionToken": HandleQuery(func(context.Context, access.Caller, *sts.GetSessionTokenInput) (*struct{}, error) {
			return nil, fault.New(fault.Denied, "no")
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	q, err := NewQuery(rows, Options{Authenticator: gate{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !q.Handles(r) {
			t.Errorf("%s %s is not taken for a query request", r.Method, r.URL)
		}
		q.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// form posts a form, or gets it as a URL.
func form(t *testing.T, base, method, text, authorization string) (int, string) {
	t.Helper()
	var body io.Reader
	if method == http.MethodGet {
		base += "/?" + text
	} else {
		body = strings.NewReader(text)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, base, body)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	r.Header.Set("Authorization", authorization)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	id := resp.Header.Get("X-Amzn-Requestid")
	if len(id) != 36 {
		t.Errorf("request id is %q", id)
	}
	return resp.StatusCode, strings.ReplaceAll(string(out), id, "ID")
}

func TestQuery(t *testing.T) {
	t.Parallel()
	base := newQuery(t)
	const (
		version = "&Version=2011-06-15"
		role    = "&RoleArn=arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2Fx"
		ns      = ` xmlns="https://sts.amazonaws.com/doc/2011-06-15/">`
	)
	failed := func(kind, code, message string) string {
		if message != "" {
			message = "<Message>" + message + "</Message>"
		}
		return `<ErrorResponse` + ns + `<Error><Type>` + kind + `</Type><Code>` + code + `</Code>` + message + `</Error><RequestId>ID</RequestId></ErrorResponse>`
	}
	for _, c := range []struct {
		method, form, authorization string
		status                      int
		body                        string
	}{
		{"POST", "Action=GetCallerIdentity" + version, "", 200,
			`<GetCallerIdentityResponse` + ns + `<GetCallerIdentityResult><Account>000000000000</Account><Arn>arn:aws:iam::000000000000:root</Arn><UserId>000000000000</UserId></GetCallerIdentityResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></GetCallerIdentityResponse>`},
		{"GET", "Action=GetCallerIdentity" + version, "", 200,
			`<GetCallerIdentityResponse` + ns + `<GetCallerIdentityResult><Account>000000000000</Account><Arn>arn:aws:iam::000000000000:root</Arn><UserId>000000000000</UserId></GetCallerIdentityResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></GetCallerIdentityResponse>`},
		{"POST", "Action=AssumeRole" + version + role + "&RoleSessionName=me&DurationSeconds=900&PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2Fp&Tags.member.2.Key=k&Tags.member.2.Value=v%40w", "", 200,
			`<AssumeRoleResponse` + ns + `<AssumeRoleResult><AssumedRoleUser><AssumedRoleId>me</AssumedRoleId><Arn>arn:aws:iam::000000000000:role/x</Arn></AssumedRoleUser><SourceIdentity></SourceIdentity><Extra><member>arn:aws:iam::aws:policy/p</member><member>k=v@w</member></Extra></AssumeRoleResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></AssumeRoleResponse>`},
		{"POST", "Action=AssumeRole" + version + role + "&RoleSessionName=me&DurationSeconds=1", "", 400,
			failed("Sender", "ValidationError", "1 validation error detected: Value &#39;1&#39; at &#39;durationSeconds&#39; failed to satisfy constraint: Member must have value greater than or equal to 900")},
		{"POST", "Action=AssumeRole" + version + "&RoleSessionName=a+b", "", 400,
			failed("Sender", "ValidationError", `2 validation errors detected: Value null at &#39;roleArn&#39; failed to satisfy constraint: Member must not be null; Value &#39;a b&#39; at &#39;roleSessionName&#39; failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*`)},
		{"POST", "Action=AssumeRole" + version + role + "&RoleSessionName=me&DurationSeconds=x", "", 400,
			failed("Sender", "MalformedInput", "Could not convert the value of durationSeconds")},
		{"POST", "Action=AssumeRole" + version + role + "&RoleSessionName=panic", "", 500, failed("Receiver", "InternalFailure", "Internal error, request ID")},
		{"POST", "Action=GetSessionToken" + version, "", 403, failed("Sender", "AccessDenied", "no")},
		{"POST", "Action=Nope" + version, "", 400, failed("Sender", "InvalidAction", "Could not find operation Nope for version 2011-06-15")},
		{"POST", "Action=GetCallerIdentity", "", 400, failed("Sender", "InvalidAction", "Could not find operation GetCallerIdentity for version ")},
		{"POST", "x=y", "", 400, failed("Sender", "MissingAction", "The request must contain the parameter Action")},
		{"POST", "Action=%zz", "", 400, failed("Sender", "MalformedInput", "The request body is not a well-formed form")},
		{"POST", "Action=GetFederationToken" + version, "", 501, failed("Receiver", "NotImplementedException", "sts:GetFederationToken is not implemented")},
		{"POST", "Action=GetFederationToken" + version, "bad", 403, failed("Sender", "InvalidClientTokenId", "The security token included in the request is invalid.")},
	} {
		status, body := form(t, base, c.method, c.form, c.authorization)
		if status != c.status || body != c.body {
			t.Errorf("%s %s\ngot  %d %s\nwant %d %s", c.method, c.form, status, body, c.status, c.body)
		}
		if err := xml.Unmarshal([]byte(body), new(struct{})); err != nil {
			t.Errorf("%s is not XML: %v", body, err)
		}
	}
}

// TestQueryClient checks that the SDK reads replies and errors.
func TestQueryClient(t *testing.T) {
	t.Parallel()
	client := sts.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(newQuery(t)),
		Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""), RetryMaxAttempts: 1,
	})
	me, err := client.GetCallerIdentity(t.Context(), nil)
	if err != nil || aws.ToString(me.Arn) != "arn:aws:iam::000000000000:root" {
		t.Errorf("got %+v, %v", me, err)
	}
	_, err = client.GetSessionToken(t.Context(), nil)
	if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != "AccessDenied" {
		t.Errorf("got %v", err)
	}
}

// FuzzForm looks for forms that break the decoder.
func FuzzForm(f *testing.F) {
	f.Add("RoleArn=x&PolicyArns.member.1.arn=y&Tags.member.9.Key=z&DurationSeconds=1e3")
	f.Fuzz(func(t *testing.T, text string) {
		values, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		h := HandleQuery(func(_ context.Context, _ access.Caller, in *sts.AssumeRoleInput) (*struct{}, error) {
			if in.RoleArn == nil || in.RoleSessionName == nil {
				t.Error("a required member is missing")
			}
			return nil, nil
		})
		_, _ = h(t.Context(), access.Caller{}, values)
	})
}
