package compat

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
)

// TestGoSDKGlueSessions drives every operation on Glue sessions through the SDK
// for Go.
func TestGoSDKGlueSessions(t *testing.T) {
	c := glue.NewFromConfig(mustServe(t))
	ctx := t.Context()
	create := func(id string, kind types.SessionType) *types.Session {
		return must[*glue.CreateSessionOutput](t)(c.CreateSession(ctx, &glue.CreateSessionInput{
			Id: &id, Role: aws.String("arn:aws:iam::000000000000:role/any"), Command: &types.SessionCommand{Name: aws.String("glueetl")},
			SessionType: kind, Tags: map[string]string{"a": "b"}, DefaultArguments: map[string]string{"--enable-spark-live-ui": "true"},
		})).Session
	}
	get := func(id string) *types.Session {
		return must[*glue.GetSessionOutput](t)(c.GetSession(ctx, &glue.GetSessionInput{Id: &id})).Session
	}
	if s := create("one", types.SessionTypeSparkConnect); s.Status != types.SessionStatusProvisioning || aws.ToFloat64(s.MaxCapacity) != 5 {
		t.Errorf("a new session is %+v", s)
	}
	await(t, "the session is READY", time.Minute, func() bool { return get("one").Status == types.SessionStatusReady })

	end := must[*glue.GetSessionEndpointOutput](t)(c.GetSessionEndpoint(ctx, &glue.GetSessionEndpointInput{SessionId: aws.String("one")})).SparkConnect
	if aws.ToString(end.Url) == "" || time.Until(*end.AuthTokenExpirationTime) <= 0 {
		t.Errorf("the endpoint is %+v", end)
	}
	if u := must[*glue.GetDashboardUrlOutput](t)(c.GetDashboardUrl(ctx, &glue.GetDashboardUrlInput{ResourceId: aws.String("one"), ResourceType: types.GlueResourceTypeSession})); aws.ToString(u.Url) == "" {
		t.Error("there is no dashboard")
	}
	if u := must[*glue.GetSystemLogsForSessionOutput](t)(c.GetSystemLogsForSession(ctx, &glue.GetSystemLogsForSessionInput{Id: aws.String("one")})); aws.ToString(u.SystemLogsUrl) == "" {
		t.Error("there are no system logs")
	}
	all := must[*glue.ListSessionsOutput](t)(c.ListSessions(ctx, &glue.ListSessionsInput{Tags: map[string]string{"a": "b"}}))
	if len(all.Ids) != 1 || len(all.Sessions) != 1 || all.Ids[0] != "one" {
		t.Errorf("the list is %+v", all)
	}

	arn := aws.String("arn:aws:glue:us-east-1:000000000000:session/one")
	must[*glue.TagResourceOutput](t)(c.TagResource(ctx, &glue.TagResourceInput{ResourceArn: arn, TagsToAdd: map[string]string{"c": "d"}}))
	must[*glue.UntagResourceOutput](t)(c.UntagResource(ctx, &glue.UntagResourceInput{ResourceArn: arn, TagsToRemove: []string{"a"}}))
	if tags := must[*glue.GetTagsOutput](t)(c.GetTags(ctx, &glue.GetTagsInput{ResourceArn: arn})).Tags; len(tags) != 1 || tags["c"] != "d" {
		t.Errorf("the tags are %v", tags)
	}

	must[*glue.StopSessionOutput](t)(c.StopSession(ctx, &glue.StopSessionInput{Id: aws.String("one")}))
	await(t, "the session is STOPPED", time.Minute, func() bool { return get("one").Status == types.SessionStatusStopped })
	_, err := c.CreateSession(ctx, &glue.CreateSessionInput{
		Id: aws.String("one"), Role: aws.String("arn:aws:iam::000000000000:role/any"), Command: &types.SessionCommand{Name: aws.String("glueetl")},
	})
	wantCode(t, err, "AlreadyExistsException")
	must[*glue.DeleteSessionOutput](t)(c.DeleteSession(ctx, &glue.DeleteSessionInput{Id: aws.String("one")}))
	_, err = c.GetSession(ctx, &glue.GetSessionInput{Id: aws.String("one")})
	wantCode(t, err, "EntityNotFoundException")
}
