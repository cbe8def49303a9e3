package logsapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/logs"
)

// CreateLogGroup makes a log group.
func (a *API) CreateLogGroup(ctx context.Context, who access.Caller, in *cloudwatchlogs.CreateLogGroupInput) (*cloudwatchlogs.CreateLogGroupOutput, error) {
	err := a.Logs.CreateGroup(ctx, who, logs.Group{
		Name: *in.LogGroupName, Class: string(in.LogGroupClass), KMSKey: aws.ToString(in.KmsKeyId), Tags: in.Tags,
		Protected: aws.ToBool(in.DeletionProtectionEnabled),
	})
	if err != nil {
		return nil, err
	}
	return &cloudwatchlogs.CreateLogGroupOutput{}, nil
}

// DeleteLogGroup removes a log group with its streams and events.
func (a *API) DeleteLogGroup(ctx context.Context, who access.Caller, in *cloudwatchlogs.DeleteLogGroupInput) (*cloudwatchlogs.DeleteLogGroupOutput, error) {
	if err := a.Logs.DeleteGroup(ctx, who, *in.LogGroupName); err != nil {
		return nil, err
	}
	return &cloudwatchlogs.DeleteLogGroupOutput{}, nil
}

// DescribeLogGroups returns a page of log groups by name.
func (a *API) DescribeLogGroups(ctx context.Context, who access.Caller, in *cloudwatchlogs.DescribeLogGroupsInput) (*cloudwatchlogs.DescribeLogGroupsOutput, error) {
	q := logs.GroupQuery{
		Prefix: aws.ToString(in.LogGroupNamePrefix), Pattern: aws.ToString(in.LogGroupNamePattern), Class: string(in.LogGroupClass),
		Limit: limit(in.Limit), Token: aws.ToString(in.NextToken),
	}
	for _, identifier := range in.LogGroupIdentifiers {
		name, err := a.Logs.Name(identifier)
		if err != nil {
			return nil, err
		}
		q.Names = append(q.Names, name)
	}
	all, next, err := a.Logs.Groups(ctx, who, q)
	if err != nil {
		return nil, err
	}
	out := &cloudwatchlogs.DescribeLogGroupsOutput{LogGroups: make([]types.LogGroup, 0, len(all)), NextToken: filled(next)}
	for i := range all {
		g := &all[i]
		arn := a.Home.LogGroup(g.Name)
		one := types.LogGroup{LogGroupName: &g.Name, Arn: aws.String(arn + ":*"), CreationTime: millis(g.Created)}
		if q.Pattern == "" { // with a pattern there is no more
			one.LogGroupArn, one.StoredBytes, one.MetricFilterCount = &arn, &g.Bytes, aws.Int32(0)
			one.LogGroupClass, one.KmsKeyId = types.LogGroupClass(g.Class), filled(g.KMSKey)
			one.DeletionProtectionEnabled = &g.Protected
			if g.Retention > 0 {
				one.RetentionInDays = aws.Int32(int32(g.Retention))
			}
		}
		out.LogGroups = append(out.LogGroups, one)
	}
	return out, nil
}

// PutLogGroupDeletionProtection sets whether a log group can be deleted.
func (a *API) PutLogGroupDeletionProtection(ctx context.Context, who access.Caller, in *cloudwatchlogs.PutLogGroupDeletionProtectionInput) (*cloudwatchlogs.PutLogGroupDeletionProtectionOutput, error) {
	name, err := a.Logs.Name(*in.LogGroupIdentifier)
	if err == nil {
		err = a.Logs.Protect(ctx, who, name, *in.DeletionProtectionEnabled)
	}
	if err != nil {
		return nil, err
	}
	return &cloudwatchlogs.PutLogGroupDeletionProtectionOutput{}, nil
}

// PutRetentionPolicy sets how long the events of a log group are kept.
func (a *API) PutRetentionPolicy(ctx context.Context, who access.Caller, in *cloudwatchlogs.PutRetentionPolicyInput) (*cloudwatchlogs.PutRetentionPolicyOutput, error) {
	if err := a.Logs.SetRetention(ctx, who, *in.LogGroupName, int(*in.RetentionInDays)); err != nil {
		return nil, err
	}
	return &cloudwatchlogs.PutRetentionPolicyOutput{}, nil
}

// DeleteRetentionPolicy lets the events of a log group live for ever.
func (a *API) DeleteRetentionPolicy(ctx context.Context, who access.Caller, in *cloudwatchlogs.DeleteRetentionPolicyInput) (*cloudwatchlogs.DeleteRetentionPolicyOutput, error) {
	if err := a.Logs.DeleteRetention(ctx, who, *in.LogGroupName); err != nil {
		return nil, err
	}
	return &cloudwatchlogs.DeleteRetentionPolicyOutput{}, nil
}

// tagged returns the name of the log group that an ARN of a tag operation names.
func (a *API) tagged(arn string) (string, error) {
	name, ok := a.Home.ParseLogGroup(arn)
	if !ok {
		return "", fault.New(fault.NotFound, "The specified resource does not exist.")
	}
	return name, nil
}

// TagResource adds tags to a log group.
func (a *API) TagResource(ctx context.Context, who access.Caller, in *cloudwatchlogs.TagResourceInput) (*cloudwatchlogs.TagResourceOutput, error) {
	name, err := a.tagged(*in.ResourceArn)
	if err == nil {
		err = a.Logs.Tag(ctx, who, "TagResource", name, in.Tags)
	}
	if err != nil {
		return nil, err
	}
	return &cloudwatchlogs.TagResourceOutput{}, nil
}

// UntagResource removes tags from a log group.
func (a *API) UntagResource(ctx context.Context, who access.Caller, in *cloudwatchlogs.UntagResourceInput) (*cloudwatchlogs.UntagResourceOutput, error) {
	name, err := a.tagged(*in.ResourceArn)
	if err == nil {
		err = a.Logs.Untag(ctx, who, "UntagResource", name, in.TagKeys)
	}
	if err != nil {
		return nil, err
	}
	return &cloudwatchlogs.UntagResourceOutput{}, nil
}

// ListTagsForResource returns the tags of a log group.
func (a *API) ListTagsForResource(ctx context.Context, who access.Caller, in *cloudwatchlogs.ListTagsForResourceInput) (*cloudwatchlogs.ListTagsForResourceOutput, error) {
	name, err := a.tagged(*in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := a.Logs.Tags(ctx, who, "ListTagsForResource", name)
	if err != nil {
		return nil, err
	}
	return &cloudwatchlogs.ListTagsForResourceOutput{Tags: tags}, nil
}

// TagLogGroup is TagResource by the group's name.
func (a *API) TagLogGroup(ctx context.Context, who access.Caller, in *cloudwatchlogs.TagLogGroupInput) (*cloudwatchlogs.TagLogGroupOutput, error) {
	if err := a.Logs.Tag(ctx, who, "TagLogGroup", *in.LogGroupName, in.Tags); err != nil {
		return nil, err
	}
	return &cloudwatchlogs.TagLogGroupOutput{}, nil
}

// UntagLogGroup is UntagResource by the group's name.
func (a *API) UntagLogGroup(ctx context.Context, who access.Caller, in *cloudwatchlogs.UntagLogGroupInput) (*cloudwatchlogs.UntagLogGroupOutput, error) {
	if err := a.Logs.Untag(ctx, who, "UntagLogGroup", *in.LogGroupName, in.Tags); err != nil {
		return nil, err
	}
	return &cloudwatchlogs.UntagLogGroupOutput{}, nil
}

// ListTagsLogGroup is ListTagsForResource by the group's name.
func (a *API) ListTagsLogGroup(ctx context.Context, who access.Caller, in *cloudwatchlogs.ListTagsLogGroupInput) (*cloudwatchlogs.ListTagsLogGroupOutput, error) {
	tags, err := a.Logs.Tags(ctx, who, "ListTagsLogGroup", *in.LogGroupName)
	if err != nil {
		return nil, err
	}
	return &cloudwatchlogs.ListTagsLogGroupOutput{Tags: tags}, nil
}
