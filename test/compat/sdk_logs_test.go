package compat

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// TestGoSDKLogs drives CloudWatch Logs by the SDK for Go.
func TestGoSDKLogs(t *testing.T) {
	c := cloudwatchlogs.NewFromConfig(mustServe(t))
	ctx := t.Context()
	group, stream := aws.String("/sdk/logs"), aws.String("s")
	arn := aws.String("arn:aws:logs:us-east-1:000000000000:log-group:/sdk/logs")
	must[*cloudwatchlogs.CreateLogGroupOutput](t)(c.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group, Tags: map[string]string{"a": "b"}}))
	_, err := c.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group})
	wantCode(t, err, "ResourceAlreadyExistsException")
	must[*cloudwatchlogs.PutRetentionPolicyOutput](t)(c.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: group, RetentionInDays: aws.Int32(3)}))
	must[*cloudwatchlogs.TagResourceOutput](t)(c.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"c": "d"}}))
	if tags := must[*cloudwatchlogs.ListTagsForResourceOutput](t)(c.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: arn})).Tags; len(tags) != 2 {
		t.Errorf("tags are %v", tags)
	}
	must[*cloudwatchlogs.CreateLogStreamOutput](t)(c.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: stream}))
	now := time.Now().UnixMilli()
	var events []types.InputLogEvent
	for i := range 25 {
		events = append(events, types.InputLogEvent{Timestamp: aws.Int64(now + int64(i)), Message: aws.String("line")})
	}
	put := must[*cloudwatchlogs.PutLogEventsOutput](t)(c.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: stream, LogEvents: events}))
	if put.RejectedLogEventsInfo != nil || put.NextSequenceToken == nil {
		t.Errorf("put: %+v", put)
	}
	for name, n := range map[string]int{"filter": filtered(ctx, t, c, group), "get": everything(ctx, t, c, group, stream)} {
		if n != 25 {
			t.Errorf("%s: %d events", name, n)
		}
	}
	groups := must[*cloudwatchlogs.DescribeLogGroupsOutput](t)(c.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: group})).LogGroups
	if len(groups) != 1 || aws.ToInt32(groups[0].RetentionInDays) != 3 || aws.ToInt64(groups[0].StoredBytes) != 25*30 || groups[0].LogGroupClass != types.LogGroupClassStandard {
		t.Errorf("groups are %+v", groups)
	}
	streams := must[*cloudwatchlogs.DescribeLogStreamsOutput](t)(c.DescribeLogStreams(ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupIdentifier: arn, OrderBy: types.OrderByLastEventTime})).LogStreams
	if len(streams) != 1 || aws.ToInt64(streams[0].LastEventTimestamp) != now+24 {
		t.Errorf("streams are %+v", streams)
	}
	_, err = c.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: aws.String("none"), LogEvents: events})
	wantCode(t, err, "ResourceNotFoundException")
	_, err = c.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String("/glaux/managed/spark"), LogStreamName: stream})
	wantCode(t, err, "InvalidParameterException")
	_, err = c.StartQuery(ctx, &cloudwatchlogs.StartQueryInput{LogGroupName: group, StartTime: aws.Int64(1), EndTime: aws.Int64(2), QueryString: aws.String("fields x")})
	wantCode(t, err, "NotImplementedException")
	must[*cloudwatchlogs.DeleteLogGroupOutput](t)(c.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: group}))
}

// filtered counts the events that the SDK's paginator finds.
func filtered(ctx context.Context, t *testing.T, c *cloudwatchlogs.Client, group *string) (n int) {
	t.Helper()
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(c, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, Limit: aws.Int32(10), FilterPattern: aws.String("line")})
	for pages.HasMorePages() {
		n += len(must[*cloudwatchlogs.FilterLogEventsOutput](t)(pages.NextPage(ctx)).Events)
	}
	return n
}

// everything counts the events of a stream; the SDK's paginator ends where the
// token repeats.
func everything(ctx context.Context, t *testing.T, c *cloudwatchlogs.Client, group, stream *string) (n int) {
	t.Helper()
	pages := cloudwatchlogs.NewGetLogEventsPaginator(c, &cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: stream, StartFromHead: aws.Bool(true), Limit: aws.Int32(10)},
		func(o *cloudwatchlogs.GetLogEventsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		n += len(must[*cloudwatchlogs.GetLogEventsOutput](t)(pages.NextPage(ctx)).Events)
	}
	return n
}
