package logsapi

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"glaux/internal/access"
	"glaux/internal/logs"
)

// CreateLogStream makes a log stream.
func (a *API) CreateLogStream(ctx context.Context, who access.Caller, in *cloudwatchlogs.CreateLogStreamInput) (*cloudwatchlogs.CreateLogStreamOutput, error) {
	if err := a.Logs.CreateStream(ctx, who, *in.LogGroupName, *in.LogStreamName); err != nil {
		return nil, err
	}
	return &cloudwatchlogs.CreateLogStreamOutput{}, nil
}

// DeleteLogStream removes a log stream and its events.
func (a *API) DeleteLogStream(ctx context.Context, who access.Caller, in *cloudwatchlogs.DeleteLogStreamInput) (*cloudwatchlogs.DeleteLogStreamOutput, error) {
	if err := a.Logs.DeleteStream(ctx, who, *in.LogGroupName, *in.LogStreamName); err != nil {
		return nil, err
	}
	return &cloudwatchlogs.DeleteLogStreamOutput{}, nil
}

// DescribeLogStreams returns a page of a group's streams.
func (a *API) DescribeLogStreams(ctx context.Context, who access.Caller, in *cloudwatchlogs.DescribeLogStreamsInput) (*cloudwatchlogs.DescribeLogStreamsOutput, error) {
	group, err := a.group(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	all, next, err := a.Logs.Streams(ctx, who, logs.StreamQuery{
		Group: group, Prefix: aws.ToString(in.LogStreamNamePrefix), ByLast: in.OrderBy == types.OrderByLastEventTime,
		Descending: aws.ToBool(in.Descending), Limit: limit(in.Limit), Token: aws.ToString(in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &cloudwatchlogs.DescribeLogStreamsOutput{LogStreams: make([]types.LogStream, 0, len(all)), NextToken: filled(next)}
	for i := range all {
		s := &all[i]
		one := types.LogStream{
			LogStreamName: &s.Name, Arn: aws.String(a.Home.LogStream(group, s.Name)), CreationTime: millis(s.Created),
			FirstEventTimestamp: millis(s.First), LastEventTimestamp: millis(s.Last), LastIngestionTime: millis(s.LastIngested),
			StoredBytes: aws.Int64(0), //nolint:staticcheck // deprecated, and always there all the same
		}
		if !s.LastIngested.IsZero() {
			one.UploadSequenceToken = sequenceToken(s.LastIngested)
		}
		out.LogStreams = append(out.LogStreams, one)
	}
	return out, nil
}

// sequenceToken makes what older clients want to hand back with their next
// batch, where nobody looks at it.
func sequenceToken(t time.Time) *string {
	return aws.String(fmt.Sprintf("49%054d", t.UnixMilli()))
}

// PutLogEvents adds events to a stream.
func (a *API) PutLogEvents(ctx context.Context, who access.Caller, in *cloudwatchlogs.PutLogEventsInput) (*cloudwatchlogs.PutLogEventsOutput, error) {
	events := make([]logs.Event, len(in.LogEvents))
	for i := range in.LogEvents {
		events[i] = logs.Event{Time: time.UnixMilli(*in.LogEvents[i].Timestamp), Message: *in.LogEvents[i].Message}
	}
	rejected, err := a.Logs.Put(ctx, who, *in.LogGroupName, *in.LogStreamName, events)
	if err != nil {
		return nil, err
	}
	out := &cloudwatchlogs.PutLogEventsOutput{NextSequenceToken: sequenceToken(time.Now())}
	if rejected.Any() {
		out.RejectedLogEventsInfo = &types.RejectedLogEventsInfo{
			TooNewLogEventStartIndex: index(rejected.TooNewFrom), TooOldLogEventEndIndex: index(rejected.TooOldUntil), ExpiredLogEventEndIndex: index(rejected.ExpiredUntil),
		}
	}
	return out, nil
}

// index is a place in a batch; nil below zero.
func index(i int) *int32 {
	if i < 0 {
		return nil
	}
	return aws.Int32(int32(i))
}

// GetLogEvents returns a page of one stream.
func (a *API) GetLogEvents(ctx context.Context, who access.Caller, in *cloudwatchlogs.GetLogEventsInput) (*cloudwatchlogs.GetLogEventsOutput, error) {
	group, err := a.group(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	p, err := a.Logs.Events(ctx, who, logs.StreamRead{
		Group: group, Stream: *in.LogStreamName, From: at(in.StartTime), To: at(in.EndTime), FromHead: aws.ToBool(in.StartFromHead),
		Limit: int(aws.ToInt32(in.Limit)), Token: aws.ToString(in.NextToken), Unmask: in.Unmask,
	})
	if err != nil {
		return nil, err
	}
	out := &cloudwatchlogs.GetLogEventsOutput{Events: make([]types.OutputLogEvent, len(p.Events)), NextForwardToken: &p.Forward, NextBackwardToken: &p.Backward}
	for i := range p.Events {
		e := &p.Events[i]
		out.Events[i] = types.OutputLogEvent{Timestamp: millis(e.Time), IngestionTime: millis(e.Ingested), Message: &e.Message}
	}
	return out, nil
}

// FilterLogEvents returns a page of the events of a group that match a pattern.
func (a *API) FilterLogEvents(ctx context.Context, who access.Caller, in *cloudwatchlogs.FilterLogEventsInput) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	group, err := a.group(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	found, next, err := a.Logs.Filter(ctx, who, logs.Filter{
		Group: group, Streams: in.LogStreamNames, Prefix: aws.ToString(in.LogStreamNamePrefix), From: at(in.StartTime), To: at(in.EndTime),
		Pattern: aws.ToString(in.FilterPattern), FromTail: in.StartFromHead != nil && !*in.StartFromHead,
		Limit: int(aws.ToInt32(in.Limit)), Token: aws.ToString(in.NextToken), Unmask: in.Unmask,
	})
	if err != nil {
		return nil, err
	}
	out := &cloudwatchlogs.FilterLogEventsOutput{
		Events: make([]types.FilteredLogEvent, len(found)), NextToken: filled(next),
		SearchedLogStreams: []types.SearchedLogStream{}, // as AWS does since 2020
	}
	for i := range found {
		e := &found[i]
		out.Events[i] = types.FilteredLogEvent{LogStreamName: &e.Stream, Timestamp: millis(e.Time), IngestionTime: millis(e.Ingested), Message: &e.Message, EventId: &e.ID}
	}
	return out, nil
}
