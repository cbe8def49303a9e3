package athenaapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/workgroup"
)

// workgroupHandlers are the operations on workgroups, tags and engine versions.
func (a *API) workgroupHandlers() map[string]awsapi.Handler {
	return map[string]awsapi.Handler{
		"CreateWorkGroup":     awsapi.Handle(a.CreateWorkGroup),
		"GetWorkGroup":        awsapi.Handle(a.GetWorkGroup),
		"ListWorkGroups":      awsapi.Handle(a.ListWorkGroups),
		"UpdateWorkGroup":     awsapi.Handle(a.UpdateWorkGroup),
		"DeleteWorkGroup":     awsapi.Handle(a.DeleteWorkGroup),
		"TagResource":         awsapi.Handle(a.TagResource),
		"UntagResource":       awsapi.Handle(a.UntagResource),
		"ListTagsForResource": awsapi.Handle(a.ListTagsForResource),
		"ListEngineVersions":  awsapi.Handle(a.ListEngineVersions),
	}
}

// CreateWorkGroup creates a workgroup.
func (a *API) CreateWorkGroup(ctx context.Context, who access.Caller, in *athena.CreateWorkGroupInput) (*athena.CreateWorkGroupOutput, error) {
	err := a.Workgroups.Create(ctx, who, workgroup.Creation{
		Name:        *in.Name,
		Description: aws.ToString(in.Description),
		Config:      fromWorkGroupConfiguration(in.Configuration),
		Tags:        fromTags(in.Tags),
	})
	if err != nil {
		return nil, err
	}
	return &athena.CreateWorkGroupOutput{}, nil
}

// GetWorkGroup returns one workgroup with its configuration.
func (a *API) GetWorkGroup(ctx context.Context, who access.Caller, in *athena.GetWorkGroupInput) (*athena.GetWorkGroupOutput, error) {
	w, err := a.Workgroups.Get(ctx, who, *in.WorkGroup)
	if err != nil {
		return nil, err
	}
	return &athena.GetWorkGroupOutput{WorkGroup: &types.WorkGroup{
		Name:          &w.Name,
		State:         types.WorkGroupState(w.State),
		Description:   filled(w.Description), // absent when empty
		Configuration: toWorkGroupConfiguration(w.Config),
		CreationTime:  &w.Created,
	}}, nil
}

// ListWorkGroups returns a page of workgroups in the order of their names.
func (a *API) ListWorkGroups(ctx context.Context, who access.Caller, in *athena.ListWorkGroupsInput) (*athena.ListWorkGroupsOutput, error) {
	all, next, err := a.Workgroups.List(ctx, who, page(in.MaxResults, in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &athena.ListWorkGroupsOutput{NextToken: filled(next), WorkGroups: make([]types.WorkGroupSummary, 0, len(all))}
	for _, w := range all {
		out.WorkGroups = append(out.WorkGroups, types.WorkGroupSummary{
			Name:          aws.String(w.Name),
			State:         types.WorkGroupState(w.State),
			Description:   aws.String(w.Description), // here "" when empty
			CreationTime:  aws.Time(w.Created),
			EngineVersion: toEngineVersion(w.Config),
		})
	}
	return out, nil
}

// UpdateWorkGroup changes a workgroup.
func (a *API) UpdateWorkGroup(ctx context.Context, who access.Caller, in *athena.UpdateWorkGroupInput) (*athena.UpdateWorkGroupOutput, error) {
	err := a.Workgroups.Update(ctx, who, *in.WorkGroup, workgroup.Update{
		Description: in.Description,
		State:       string(in.State),
		Config:      fromWorkGroupConfigurationUpdates(in.ConfigurationUpdates),
	})
	if err != nil {
		return nil, err
	}
	return &athena.UpdateWorkGroupOutput{}, nil
}

// DeleteWorkGroup deletes a workgroup.
func (a *API) DeleteWorkGroup(ctx context.Context, who access.Caller, in *athena.DeleteWorkGroupInput) (*athena.DeleteWorkGroupOutput, error) {
	if err := a.Workgroups.Delete(ctx, who, *in.WorkGroup, aws.ToBool(in.RecursiveDeleteOption)); err != nil {
		return nil, err
	}
	return &athena.DeleteWorkGroupOutput{}, nil
}

// page is the wanted part of a list.
func page(size *int32, token *string) workgroup.Page {
	return workgroup.Page{Size: int(aws.ToInt32(size)), Token: aws.ToString(token)}
}

// filled is a pointer to s, nil when it is empty.
func filled(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
