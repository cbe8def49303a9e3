package glueapi

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/fault"
	"glaux/internal/resource"
)

// securityHandlers are the operations on security configurations. The document
// of one is its encryption configuration.
func (a *API) securityHandlers() map[string]awsapi.Handler {
	return map[string]awsapi.Handler{
		"CreateSecurityConfiguration": awsapi.Handle(a.CreateSecurityConfiguration),
		"GetSecurityConfiguration":    awsapi.Handle(a.GetSecurityConfiguration),
		"GetSecurityConfigurations":   awsapi.Handle(a.GetSecurityConfigurations),
		"DeleteSecurityConfiguration": awsapi.Handle(a.DeleteSecurityConfiguration),
	}
}

// CreateSecurityConfiguration keeps a security configuration.
func (a *API) CreateSecurityConfiguration(ctx context.Context, who access.Caller, in *glue.CreateSecurityConfigurationInput) (*glue.CreateSecurityConfigurationOutput, error) {
	if err := checkEncryption(in.EncryptionConfiguration); err != nil {
		return nil, err
	}
	doc, err := json.Marshal(in.EncryptionConfiguration)
	if err != nil {
		return nil, fmt.Errorf("cannot encode a security configuration: %w", err)
	}
	i, err := a.Resources.Create(ctx, who, "glue:CreateSecurityConfiguration", resource.SecurityConfiguration, *in.Name, doc, nil)
	if err != nil {
		return nil, err
	}
	return &glue.CreateSecurityConfigurationOutput{Name: in.Name, CreatedTimestamp: stamp(i.Created)}, nil
}

// GetSecurityConfiguration returns one security configuration.
func (a *API) GetSecurityConfiguration(ctx context.Context, who access.Caller, in *glue.GetSecurityConfigurationInput) (*glue.GetSecurityConfigurationOutput, error) {
	i, err := a.Resources.Get(ctx, who, "glue:GetSecurityConfiguration", resource.SecurityConfiguration, *in.Name)
	if err != nil {
		return nil, err
	}
	s, err := toSecurity(i)
	return &glue.GetSecurityConfigurationOutput{SecurityConfiguration: s}, err
}

// GetSecurityConfigurations returns a page of them, in the order of their names.
func (a *API) GetSecurityConfigurations(ctx context.Context, who access.Caller, in *glue.GetSecurityConfigurationsInput) (*glue.GetSecurityConfigurationsOutput, error) {
	list := a.listing(who, "GetSecurityConfigurations", in.NextToken)
	after, err := list.place()
	if err != nil {
		return nil, err
	}
	page, more, err := a.Resources.List(ctx, who, "glue:GetSecurityConfigurations", resource.SecurityConfiguration, after, limit(in.MaxResults), nil)
	if err != nil {
		return nil, err
	}
	out := &glue.GetSecurityConfigurationsOutput{SecurityConfigurations: make([]types.SecurityConfiguration, 0, len(page))}
	for _, i := range page {
		s, err := toSecurity(i)
		if err != nil {
			return nil, err
		}
		out.SecurityConfigurations = append(out.SecurityConfigurations, *s)
		out.NextToken = list.at(i.Name, more)
	}
	return out, nil
}

// DeleteSecurityConfiguration removes a security configuration.
func (a *API) DeleteSecurityConfiguration(ctx context.Context, who access.Caller, in *glue.DeleteSecurityConfigurationInput) (*glue.DeleteSecurityConfigurationOutput, error) {
	return &glue.DeleteSecurityConfigurationOutput{}, a.Resources.Delete(ctx, who, "glue:DeleteSecurityConfiguration", resource.SecurityConfiguration, *in.Name)
}

// checkEncryption refuses a mode with a key of KMS that names no key.
func checkEncryption(e *types.EncryptionConfiguration) error {
	check := func(mode string, key *string) error {
		if (mode == "SSE-KMS" || mode == "CSE-KMS") && aws.ToString(key) == "" {
			return fault.Invalidf("Encryption mode %s needs a KmsKeyArn.", mode)
		}
		return nil
	}
	for _, s := range e.S3Encryption {
		if err := check(string(s.S3EncryptionMode), s.KmsKeyArn); err != nil {
			return err
		}
	}
	if c := e.CloudWatchEncryption; c != nil {
		if err := check(string(c.CloudWatchEncryptionMode), c.KmsKeyArn); err != nil {
			return err
		}
	}
	if j := e.JobBookmarksEncryption; j != nil {
		if err := check(string(j.JobBookmarksEncryptionMode), j.KmsKeyArn); err != nil {
			return err
		}
	}
	if d := e.DataQualityEncryption; d != nil {
		return check(string(d.DataQualityEncryptionMode), d.KmsKeyArn)
	}
	return nil
}

func toSecurity(i resource.Item) (*types.SecurityConfiguration, error) {
	e := &types.EncryptionConfiguration{}
	if err := json.Unmarshal(i.Doc, e); err != nil {
		return nil, fmt.Errorf("cannot decode security configuration %q: %w", i.Name, err)
	}
	return &types.SecurityConfiguration{Name: &i.Name, CreatedTimeStamp: stamp(i.Created), EncryptionConfiguration: e}, nil
}
