package glueapi

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/fault"
	"glaux/internal/resource"
)

// profileHandlers are the operations on usage profiles.
func (a *API) profileHandlers() map[string]awsapi.Handler {
	return map[string]awsapi.Handler{
		"CreateUsageProfile": awsapi.Handle(a.CreateUsageProfile),
		"GetUsageProfile":    awsapi.Handle(a.GetUsageProfile),
		"ListUsageProfiles":  awsapi.Handle(a.ListUsageProfiles),
		"UpdateUsageProfile": awsapi.Handle(a.UpdateUsageProfile),
		"DeleteUsageProfile": awsapi.Handle(a.DeleteUsageProfile),
	}
}

// profileDoc is the document of a usage profile. Package resource reads what
// it says of sessions.
type profileDoc struct {
	Description   *string
	Configuration *types.ProfileConfiguration
}

// CreateUsageProfile keeps a usage profile.
func (a *API) CreateUsageProfile(ctx context.Context, who access.Caller, in *glue.CreateUsageProfileInput) (*glue.CreateUsageProfileOutput, error) {
	doc, err := encodeProfile(profileDoc{in.Description, in.Configuration})
	if err != nil {
		return nil, err
	}
	_, err = a.Resources.Create(ctx, who, "glue:CreateUsageProfile", resource.UsageProfile, *in.Name, doc, fromTags(in.Tags))
	if err != nil {
		return nil, err
	}
	return &glue.CreateUsageProfileOutput{Name: in.Name}, nil
}

// GetUsageProfile returns one usage profile.
func (a *API) GetUsageProfile(ctx context.Context, who access.Caller, in *glue.GetUsageProfileInput) (*glue.GetUsageProfileOutput, error) {
	i, err := a.Resources.Get(ctx, who, "glue:GetUsageProfile", resource.UsageProfile, *in.Name)
	if err != nil {
		return nil, err
	}
	doc, err := decodeProfile(i)
	if err != nil {
		return nil, err
	}
	return &glue.GetUsageProfileOutput{
		Name: &i.Name, Description: doc.Description, Configuration: doc.Configuration, CreatedOn: stamp(i.Created), LastModifiedOn: stamp(i.Changed),
	}, nil
}

// ListUsageProfiles returns a page of them, in the order of their names.
func (a *API) ListUsageProfiles(ctx context.Context, who access.Caller, in *glue.ListUsageProfilesInput) (*glue.ListUsageProfilesOutput, error) {
	list := a.listing(who, "ListUsageProfiles", in.NextToken)
	after, err := list.place()
	if err != nil {
		return nil, err
	}
	page, more, err := a.Resources.List(ctx, who, "glue:ListUsageProfiles", resource.UsageProfile, after, limit(in.MaxResults), nil)
	if err != nil {
		return nil, err
	}
	out := &glue.ListUsageProfilesOutput{Profiles: make([]types.UsageProfileDefinition, 0, len(page))}
	for _, i := range page {
		doc, err := decodeProfile(i)
		if err != nil {
			return nil, err
		}
		out.Profiles = append(out.Profiles, types.UsageProfileDefinition{Name: &i.Name, Description: doc.Description, CreatedOn: stamp(i.Created), LastModifiedOn: stamp(i.Changed)})
		out.NextToken = list.at(i.Name, more)
	}
	return out, nil
}

// UpdateUsageProfile replaces all of a usage profile but its name. Sessions
// that there are stay as they are.
func (a *API) UpdateUsageProfile(ctx context.Context, who access.Caller, in *glue.UpdateUsageProfileInput) (*glue.UpdateUsageProfileOutput, error) {
	doc, err := encodeProfile(profileDoc{in.Description, in.Configuration})
	if err != nil {
		return nil, err
	}
	if err := a.Resources.Update(ctx, who, "glue:UpdateUsageProfile", resource.UsageProfile, *in.Name, doc); err != nil {
		return nil, err
	}
	return &glue.UpdateUsageProfileOutput{Name: in.Name}, nil
}

// DeleteUsageProfile removes a usage profile. The operation has no exception
// for one that is not there: it succeeds.
func (a *API) DeleteUsageProfile(ctx context.Context, who access.Caller, in *glue.DeleteUsageProfileInput) (*glue.DeleteUsageProfileOutput, error) {
	err := a.Resources.Delete(ctx, who, "glue:DeleteUsageProfile", resource.UsageProfile, *in.Name)
	if err != nil && fault.Of(err) != fault.NotFound {
		return nil, err
	}
	return &glue.DeleteUsageProfileOutput{}, nil
}

// encodeProfile checks a profile and makes its document.
func encodeProfile(doc profileDoc) ([]byte, error) {
	p := resource.Profile{SessionConfiguration: fromParameters(doc.Configuration.SessionConfiguration), JobConfiguration: fromParameters(doc.Configuration.JobConfiguration)}
	if err := resource.CheckProfile(p); err != nil {
		return nil, err
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("cannot encode a usage profile: %w", err)
	}
	return text, nil
}

func fromParameters(in map[string]types.ConfigurationObject) map[string]resource.Parameter {
	out := make(map[string]resource.Parameter, len(in))
	for name, c := range in {
		out[name] = resource.Parameter{DefaultValue: c.DefaultValue, AllowedValues: c.AllowedValues, MinValue: c.MinValue, MaxValue: c.MaxValue}
	}
	return out
}

func decodeProfile(i resource.Item) (profileDoc, error) {
	var doc profileDoc
	if err := json.Unmarshal(i.Doc, &doc); err != nil {
		return doc, fmt.Errorf("cannot decode usage profile %q: %w", i.Name, err)
	}
	return doc, nil
}
