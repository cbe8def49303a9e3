package athenaapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"

	"glaux/internal/access"
	"glaux/internal/workgroup"
)

// TagResource adds tags to a workgroup or a session.
func (a *API) TagResource(ctx context.Context, who access.Caller, in *athena.TagResourceInput) (*athena.TagResourceOutput, error) {
	if err := a.Workgroups.Tag(ctx, who, *in.ResourceARN, fromTags(in.Tags)); err != nil {
		return nil, err
	}
	return &athena.TagResourceOutput{}, nil
}

// UntagResource removes tags from a workgroup or a session.
func (a *API) UntagResource(ctx context.Context, who access.Caller, in *athena.UntagResourceInput) (*athena.UntagResourceOutput, error) {
	if err := a.Workgroups.Untag(ctx, who, *in.ResourceARN, in.TagKeys); err != nil {
		return nil, err
	}
	return &athena.UntagResourceOutput{}, nil
}

// ListTagsForResource returns the tags of a workgroup or a session.
func (a *API) ListTagsForResource(ctx context.Context, who access.Caller, in *athena.ListTagsForResourceInput) (*athena.ListTagsForResourceOutput, error) {
	tags, next, err := a.Workgroups.Tags(ctx, who, *in.ResourceARN, page(in.MaxResults, in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &athena.ListTagsForResourceOutput{NextToken: filled(next), Tags: make([]types.Tag, 0, len(tags))}
	for _, t := range tags {
		out.Tags = append(out.Tags, types.Tag{Key: aws.String(t.Key), Value: aws.String(t.Value)})
	}
	return out, nil
}

// fromTags keeps nil apart from an empty list: creating a workgroup does.
func fromTags(tags []types.Tag) []workgroup.Tag {
	if tags == nil {
		return nil
	}
	all := make([]workgroup.Tag, 0, len(tags))
	for _, t := range tags {
		all = append(all, workgroup.Tag{Key: aws.ToString(t.Key), Value: aws.ToString(t.Value)})
	}
	return all
}
