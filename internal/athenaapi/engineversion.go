package athenaapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"

	"glaux/internal/access"
	"glaux/internal/workgroup"
)

// ListEngineVersions returns the engine versions that a workgroup can select.
func (a *API) ListEngineVersions(ctx context.Context, who access.Caller, in *athena.ListEngineVersionsInput) (*athena.ListEngineVersionsOutput, error) {
	all, next, err := a.Workgroups.ListEngineVersions(ctx, who, page(in.MaxResults, in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &athena.ListEngineVersionsOutput{NextToken: filled(next)}
	for _, v := range all {
		out.EngineVersions = append(out.EngineVersions, types.EngineVersion{
			SelectedEngineVersion: aws.String(v.Selected), EffectiveEngineVersion: aws.String(v.Effective),
		})
	}
	return out, nil
}

func toEngineVersion(c workgroup.Config) *types.EngineVersion {
	return &types.EngineVersion{SelectedEngineVersion: aws.String(c.SelectedEngine), EffectiveEngineVersion: aws.String(c.Effective())}
}
