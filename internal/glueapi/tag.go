package glueapi

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/glue"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/fault"
	"glaux/internal/resource"
	"glaux/internal/workgroup"
)

// tagHandlers are the operations on tags.
func (a *API) tagHandlers() map[string]awsapi.Handler {
	return map[string]awsapi.Handler{
		"TagResource":   awsapi.Handle(a.TagResource),
		"UntagResource": awsapi.Handle(a.UntagResource),
		"GetTags":       awsapi.Handle(a.GetTags),
	}
}

// Kinds of resources that have tags beside sessions. At Glue security
// configurations have none.
const (
	taggedConnection = string(resource.Connection)
	taggedProfile    = string(resource.UsageProfile)
)

// TagResource adds tags to a resource.
func (a *API) TagResource(ctx context.Context, who access.Caller, in *glue.TagResourceInput) (*glue.TagResourceOutput, error) {
	switch kind, name, _ := a.Home.ParseGlue(*in.ResourceArn); kind {
	case "session":
		return &glue.TagResourceOutput{}, a.Sessions.TagGlue(ctx, who, name, fromTags(in.TagsToAdd))
	case taggedConnection, taggedProfile:
		return &glue.TagResourceOutput{}, a.Resources.Tag(ctx, who, resource.Kind(kind), name, fromTags(in.TagsToAdd))
	default:
		return nil, noResource(*in.ResourceArn)
	}
}

// UntagResource removes tags from a resource by their keys.
func (a *API) UntagResource(ctx context.Context, who access.Caller, in *glue.UntagResourceInput) (*glue.UntagResourceOutput, error) {
	switch kind, name, _ := a.Home.ParseGlue(*in.ResourceArn); kind {
	case "session":
		return &glue.UntagResourceOutput{}, a.Sessions.UntagGlue(ctx, who, name, in.TagsToRemove)
	case taggedConnection, taggedProfile:
		return &glue.UntagResourceOutput{}, a.Resources.Untag(ctx, who, resource.Kind(kind), name, in.TagsToRemove)
	default:
		return nil, noResource(*in.ResourceArn)
	}
}

// GetTags returns the tags of a resource.
func (a *API) GetTags(ctx context.Context, who access.Caller, in *glue.GetTagsInput) (*glue.GetTagsOutput, error) {
	switch kind, name, _ := a.Home.ParseGlue(*in.ResourceArn); kind {
	case "session":
		tags, err := a.Sessions.GlueTags(ctx, who, name)
		if err != nil {
			return nil, err
		}
		return &glue.GetTagsOutput{Tags: toTags(tags)}, nil
	case taggedConnection, taggedProfile:
		tags, err := a.Resources.Tags(ctx, who, resource.Kind(kind), name)
		if err != nil {
			return nil, err
		}
		return &glue.GetTagsOutput{Tags: toTags(tags)}, nil
	default:
		return nil, noResource(*in.ResourceArn)
	}
}

// noResource refuses an ARN of something that has no tags or is not there.
func noResource(arn string) error {
	return fault.New(fault.NotFound, "Resource %s not found.", arn).About(arn)
}

func fromTags(tags map[string]string) []workgroup.Tag {
	var all []workgroup.Tag
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, workgroup.Tag{Key: k, Value: tags[k]})
	}
	return all
}

// toTags is never nil: clients read the map of a resource without tags too.
func toTags(tags []workgroup.Tag) map[string]string {
	all := make(map[string]string, len(tags))
	for _, t := range tags {
		all[t.Key] = t.Value
	}
	return all
}

// textOf is what the token of a list is bound to.
func textOf(tags []workgroup.Tag) []string {
	var all []string
	for _, t := range tags {
		all = append(all, t.Key, t.Value)
	}
	return all
}
