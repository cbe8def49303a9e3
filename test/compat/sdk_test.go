package compat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// mustServe runs bin/glaux until the test ends and returns a configuration
// from nothing but what "glaux env" prints.
func mustServe(t *testing.T) aws.Config {
	t.Helper()
	program, err := filepath.Abs(filepath.Join("..", "..", "bin", "glaux"))
	if err != nil {
		t.Fatal(err)
	}
	runtime := os.Getenv("GLAUX_TEST_RUNTIME")
	if runtime == "" {
		runtime = filepath.Join(filepath.Dir(filepath.Dir(program)), "build", "runtime")
	}
	dir := t.TempDir()
	ready := filepath.Join(dir, "ready")
	var log bytes.Buffer // read once the server has ended
	cmd := exec.Command(program, "serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--ready-file", ready, "--runtime-dir", runtime, "--pool-max", "0")
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start the server; was it built? %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		out, err := exec.Command(program, "stop", "--data-dir", dir).CombinedOutput()
		if err != nil {
			t.Errorf("stop: %v\n%s", err, out)
			_ = cmd.Process.Kill()
		}
		if err := <-ended; err != nil {
			t.Errorf("server: %v\n%s", err, &log)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, err := os.Stat(ready); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the server is not ready")
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the server ended: %v\n%s", err, &log)
		case <-time.After(5 * time.Millisecond):
		}
	}
	out, err := exec.Command(program, "env", "--data-dir", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		env[name] = strings.Trim(value, "'")
	}
	return aws.Config{
		Region: env["AWS_REGION"], BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL"]),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: env["AWS_ACCESS_KEY_ID"], SecretAccessKey: env["AWS_SECRET_ACCESS_KEY"]}, nil
		}),
	}
}

// must fails the test on an error and returns the output.
func must[T any](t *testing.T) func(out T, err error) T {
	return func(out T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// wantCode fails unless err is the exception.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code {
		t.Errorf("have %v, want %s", err, code)
	}
}

// await polls until reached says so.
func await(t *testing.T, what string, limit time.Duration, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !reached(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestGoSDK(t *testing.T) {
	cfg := mustServe(t)
	ctx := t.Context()
	a := athena.NewFromConfig(cfg)
	store := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })

	t.Run("workgroups", func(t *testing.T) { workgroups(ctx, t, a) })
	t.Run("sts and s3", func(t *testing.T) { identityAndObjects(ctx, t, cfg, store) })
	t.Run("sessions", func(t *testing.T) { sessions(ctx, t, a, store) })
}

func workgroups(ctx context.Context, t *testing.T, a *athena.Client) {
	name, arn := aws.String("sdk"), aws.String("arn:aws:athena:us-east-1:000000000000:workgroup/sdk")
	must[*athena.CreateWorkGroupOutput](t)(a.CreateWorkGroup(ctx, &athena.CreateWorkGroupInput{
		Name: name, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}},
		Configuration: &types.WorkGroupConfiguration{
			EngineVersion: &types.EngineVersion{SelectedEngineVersion: aws.String("Apache Spark version 3.5")},
			ExecutionRole: aws.String("arn:aws:iam::000000000000:role/any"),
			EngineConfiguration: &types.EngineConfiguration{Classifications: []types.Classification{
				{Name: aws.String("spark-defaults"), Properties: map[string]string{"spark.sql.shuffle.partitions": "5"}}}},
			MonitoringConfiguration: &types.MonitoringConfiguration{S3LoggingConfiguration: &types.S3LoggingConfiguration{
				Enabled: aws.Bool(true), LogLocation: aws.String("s3://logs/x")}},
		},
	}))
	got := must[*athena.GetWorkGroupOutput](t)(a.GetWorkGroup(ctx, &athena.GetWorkGroupInput{WorkGroup: name})).WorkGroup
	if aws.ToString(got.Configuration.MonitoringConfiguration.S3LoggingConfiguration.LogLocation) != "s3://logs/x" {
		t.Errorf("monitoring reads back as %+v", got.Configuration.MonitoringConfiguration)
	}
	if len(got.Configuration.EngineConfiguration.Classifications) != 1 {
		t.Errorf("classifications read back as %+v", got.Configuration.EngineConfiguration)
	}
	must[*athena.TagResourceOutput](t)(a.TagResource(ctx, &athena.TagResourceInput{ResourceARN: arn, Tags: []types.Tag{{Key: aws.String("c"), Value: aws.String("d")}}}))
	must[*athena.UntagResourceOutput](t)(a.UntagResource(ctx, &athena.UntagResourceInput{ResourceARN: arn, TagKeys: []string{"a"}}))
	tags := must[*athena.ListTagsForResourceOutput](t)(a.ListTagsForResource(ctx, &athena.ListTagsForResourceInput{ResourceARN: arn}))
	if len(tags.Tags) != 1 || aws.ToString(tags.Tags[0].Key) != "c" {
		t.Errorf("tags are %v", tags.Tags)
	}
	must[*athena.UpdateWorkGroupOutput](t)(a.UpdateWorkGroup(ctx, &athena.UpdateWorkGroupInput{WorkGroup: name, State: types.WorkGroupStateDisabled}))
	if n := len(must[*athena.ListWorkGroupsOutput](t)(a.ListWorkGroups(ctx, &athena.ListWorkGroupsInput{})).WorkGroups); n != 4 {
		t.Errorf("there are %d workgroups", n)
	}
	if len(must[*athena.ListEngineVersionsOutput](t)(a.ListEngineVersions(ctx, &athena.ListEngineVersionsInput{})).EngineVersions) == 0 {
		t.Error("there are no engine versions")
	}
	must[*athena.DeleteWorkGroupOutput](t)(a.DeleteWorkGroup(ctx, &athena.DeleteWorkGroupInput{WorkGroup: name}))
	_, err := a.GetWorkGroup(ctx, &athena.GetWorkGroupInput{WorkGroup: name})
	wantCode(t, err, "InvalidRequestException")
	_, err = a.ListDataCatalogs(ctx, &athena.ListDataCatalogsInput{})
	wantCode(t, err, "NotImplementedException")
}

func identityAndObjects(ctx context.Context, t *testing.T, cfg aws.Config, store *s3.Client) {
	identity := sts.NewFromConfig(cfg)
	who := must[*sts.GetCallerIdentityOutput](t)(identity.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))
	if aws.ToString(who.Account) != "000000000000" {
		t.Errorf("the account is %v", who.Account)
	}
	keys := must[*sts.AssumeRoleOutput](t)(identity.AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::000000000000:role/any"), RoleSessionName: aws.String("sdk"),
	})).Credentials
	if left := time.Until(*keys.Expiration); left < 50*time.Minute || left > 61*time.Minute {
		t.Errorf("credentials live for %v", left)
	}
	must[*sts.GetSessionTokenOutput](t)(identity.GetSessionToken(ctx, &sts.GetSessionTokenInput{}))
	must[*sts.GetAccessKeyInfoOutput](t)(identity.GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: keys.AccessKeyId}))
	found := must[*iam.GetRoleOutput](t)(iam.NewFromConfig(cfg).GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("any")})).Role
	if aws.ToString(found.Arn) != "arn:aws:iam::000000000000:role/any" || found.CreateDate == nil {
		t.Errorf("the role is %+v", found)
	}
	role := cfg.Copy()
	role.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: *keys.AccessKeyId, SecretAccessKey: *keys.SecretAccessKey, SessionToken: *keys.SessionToken}, nil
	})
	mine := s3.NewFromConfig(role, func(o *s3.Options) { o.UsePathStyle = true })
	bucket, key := aws.String("sdk-data"), aws.String("a b/ü+%.txt")
	must[*s3.CreateBucketOutput](t)(store.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))
	must[*s3.PutObjectOutput](t)(mine.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("hello")}))
	if body := read(ctx, t, store, *bucket, *key); body != "hello" {
		t.Errorf("the object holds %q", body)
	}
	link := must[*v4Request](t)(presign(ctx, store, *bucket, *key))
	reply := must[*http.Response](t)(http.Get(link.url))
	defer reply.Body.Close()
	if body, err := io.ReadAll(reply.Body); err != nil || string(body) != "hello" {
		t.Errorf("the presigned URL gives %q, %v", body, err)
	}
	host := must[*url.URL](t)(url.Parse(*cfg.BaseEndpoint))
	virtual := must[*http.Request](t)(http.NewRequest(http.MethodGet, *cfg.BaseEndpoint+"/", nil))
	virtual.Host = "sdk-data.localhost:" + host.Port()
	refused := must[*http.Response](t)(http.DefaultClient.Do(virtual))
	defer refused.Body.Close()
	if refused.StatusCode != http.StatusForbidden {
		t.Errorf("an unsigned request is answered %d", refused.StatusCode)
	}
}

// v4Request is a presigned request.
type v4Request struct{ url string }

func presign(ctx context.Context, store *s3.Client, bucket, key string) (*v4Request, error) {
	r, err := s3.NewPresignClient(store).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	return &v4Request{r.URL}, nil
}

func read(ctx context.Context, t *testing.T, store *s3.Client, bucket, key string) string {
	t.Helper()
	got := must[*s3.GetObjectOutput](t)(store.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key}))
	defer got.Body.Close()
	return string(must[[]byte](t)(io.ReadAll(got.Body)))
}

func sessions(ctx context.Context, t *testing.T, a *athena.Client, store *s3.Client) {
	id := must[*athena.StartSessionOutput](t)(a.StartSession(ctx, &athena.StartSessionInput{
		WorkGroup: aws.String("spark"), EngineConfiguration: &types.EngineConfiguration{MaxConcurrentDpus: aws.Int32(2)},
	})).SessionId
	await(t, "session is IDLE", 2*time.Minute, func() bool {
		s := must[*athena.GetSessionStatusOutput](t)(a.GetSessionStatus(ctx, &athena.GetSessionStatusInput{SessionId: id})).Status
		if s.State == types.SessionStateFailed {
			t.Fatalf("the session failed: %s", aws.ToString(s.StateChangeReason))
		}
		return s.State == types.SessionStateIdle
	})
	run := func(code string) *athena.GetCalculationExecutionOutput {
		calc := must[*athena.StartCalculationExecutionOutput](t)(a.StartCalculationExecution(ctx, &athena.StartCalculationExecutionInput{
			SessionId: id, CodeBlock: &code})).CalculationExecutionId
		await(t, "calculation is over", time.Minute, func() bool {
			s := must[*athena.GetCalculationExecutionStatusOutput](t)(a.GetCalculationExecutionStatus(ctx,
				&athena.GetCalculationExecutionStatusInput{CalculationExecutionId: calc})).Status.State
			return s == types.CalculationExecutionStateCompleted || s == types.CalculationExecutionStateFailed
		})
		return must[*athena.GetCalculationExecutionOutput](t)(a.GetCalculationExecution(ctx, &athena.GetCalculationExecutionInput{CalculationExecutionId: calc}))
	}
	got := run("spark.range(3).show()")
	bucket, key, _ := strings.Cut(strings.TrimPrefix(aws.ToString(got.Result.StdOutS3Uri), "s3://"), "/")
	if out := read(ctx, t, store, bucket, key); !strings.Contains(out, "|  2|") {
		t.Errorf("Spark printed %q", out)
	}
	if got := run("1 / 0"); got.Status.State != types.CalculationExecutionStateFailed {
		t.Errorf("a division by zero ended %v", got.Status.State)
	}
	code := must[*athena.GetCalculationExecutionCodeOutput](t)(a.GetCalculationExecutionCode(ctx,
		&athena.GetCalculationExecutionCodeInput{CalculationExecutionId: got.CalculationExecutionId}))
	if aws.ToString(code.CodeBlock) != "spark.range(3).show()" {
		t.Errorf("the code is %q", aws.ToString(code.CodeBlock))
	}
	must[*athena.StopCalculationExecutionOutput](t)(a.StopCalculationExecution(ctx, &athena.StopCalculationExecutionInput{CalculationExecutionId: got.CalculationExecutionId}))
	if n := len(must[*athena.ListCalculationExecutionsOutput](t)(a.ListCalculationExecutions(ctx, &athena.ListCalculationExecutionsInput{SessionId: id})).Calculations); n != 2 {
		t.Errorf("there are %d calculations", n)
	}
	if len(must[*athena.ListExecutorsOutput](t)(a.ListExecutors(ctx, &athena.ListExecutorsInput{SessionId: id})).ExecutorsSummary) == 0 {
		t.Error("there are no executors")
	}
	must[*athena.GetSessionOutput](t)(a.GetSession(ctx, &athena.GetSessionInput{SessionId: id}))
	if n := len(must[*athena.ListSessionsOutput](t)(a.ListSessions(ctx, &athena.ListSessionsInput{WorkGroup: aws.String("spark")})).Sessions); n != 1 {
		t.Errorf("there are %d sessions", n)
	}
	if aws.ToString(must[*athena.GetSessionEndpointOutput](t)(a.GetSessionEndpoint(ctx, &athena.GetSessionEndpointInput{SessionId: id})).AuthToken) == "" {
		t.Error("the endpoint has no token")
	}
	arn := aws.String("arn:aws:athena:us-east-1:000000000000:workgroup/spark/session/" + *id)
	if aws.ToString(must[*athena.GetResourceDashboardOutput](t)(a.GetResourceDashboard(ctx, &athena.GetResourceDashboardInput{ResourceARN: arn})).Url) == "" {
		t.Error("the dashboard has no URL")
	}
	if len(must[*athena.ListApplicationDPUSizesOutput](t)(a.ListApplicationDPUSizes(ctx, &athena.ListApplicationDPUSizesInput{})).ApplicationDPUSizes) == 0 {
		t.Error("there are no sizes")
	}
	must[*athena.TerminateSessionOutput](t)(a.TerminateSession(ctx, &athena.TerminateSessionInput{SessionId: id}))
}
