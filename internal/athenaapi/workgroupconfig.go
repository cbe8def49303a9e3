package athenaapi

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"

	"glaux/internal/workgroup"
)

// fromWorkGroupConfiguration reads the configuration of a new workgroup.
func fromWorkGroupConfiguration(in *types.WorkGroupConfiguration) workgroup.Config {
	if in == nil {
		return workgroup.Config{}
	}
	return workgroup.Config{
		Result:              fromResultConfiguration(in.ResultConfiguration),
		ManagedResults:      fromManagedQueryResults(in.ManagedQueryResultsConfiguration),
		Enforce:             in.EnforceWorkGroupConfiguration,
		PublishMetrics:      in.PublishCloudWatchMetricsEnabled,
		BytesScannedCutoff:  in.BytesScannedCutoffPerQuery,
		RequesterPays:       in.RequesterPaysEnabled,
		SelectedEngine:      selected(in.EngineVersion),
		AdditionalConfig:    in.AdditionalConfiguration,
		ExecutionRole:       aws.ToString(in.ExecutionRole),
		Monitoring:          fromMonitoringConfiguration(in.MonitoringConfiguration),
		Engine:              fromEngineConfiguration(in.EngineConfiguration),
		ContentKMSKey:       contentKey(in.CustomerContentEncryptionConfiguration),
		MinimumEncryption:   in.EnableMinimumEncryptionConfiguration,
		IdentityCenter:      fromIdentityCenter(in.IdentityCenterConfiguration),
		ResultsAccessGrants: fromAccessGrants(in.QueryResultsS3AccessGrantsConfiguration),
	}
}

// toWorkGroupConfiguration is the configuration as GetWorkGroup reads it back:
// the switches, the engine version and the result configuration are always
// there, the rest when it was set.
func toWorkGroupConfiguration(c workgroup.Config) *types.WorkGroupConfiguration {
	return &types.WorkGroupConfiguration{
		ResultConfiguration:                     toResultConfiguration(c.Result),
		ManagedQueryResultsConfiguration:        toManagedQueryResults(c.ManagedResults),
		EnforceWorkGroupConfiguration:           aws.Bool(aws.ToBool(c.Enforce)),
		PublishCloudWatchMetricsEnabled:         aws.Bool(aws.ToBool(c.PublishMetrics)),
		BytesScannedCutoffPerQuery:              c.BytesScannedCutoff,
		RequesterPaysEnabled:                    aws.Bool(aws.ToBool(c.RequesterPays)),
		EngineVersion:                           toEngineVersion(c),
		AdditionalConfiguration:                 c.AdditionalConfig,
		ExecutionRole:                           filled(c.ExecutionRole),
		MonitoringConfiguration:                 toMonitoringConfiguration(c.Monitoring),
		EngineConfiguration:                     toEngineConfiguration(c.Engine),
		CustomerContentEncryptionConfiguration:  toContentEncryption(c.ContentKMSKey),
		EnableMinimumEncryptionConfiguration:    aws.Bool(aws.ToBool(c.MinimumEncryption)),
		IdentityCenterConfiguration:             toIdentityCenter(c.IdentityCenter),
		QueryResultsS3AccessGrantsConfiguration: toAccessGrants(c.ResultsAccessGrants),
	}
}

// fromWorkGroupConfigurationUpdates reads what an update changes.
func fromWorkGroupConfigurationUpdates(in *types.WorkGroupConfigurationUpdates) *workgroup.ConfigUpdate {
	if in == nil {
		return nil
	}
	u := &workgroup.ConfigUpdate{
		Enforce:                  in.EnforceWorkGroupConfiguration,
		PublishMetrics:           in.PublishCloudWatchMetricsEnabled,
		BytesScannedCutoff:       in.BytesScannedCutoffPerQuery,
		RemoveBytesScannedCutoff: aws.ToBool(in.RemoveBytesScannedCutoffPerQuery),
		RequesterPays:            in.RequesterPaysEnabled,
		SelectedEngine:           selected(in.EngineVersion),
		AdditionalConfig:         in.AdditionalConfiguration,
		ExecutionRole:            aws.ToString(in.ExecutionRole),
		Monitoring:               fromMonitoringConfiguration(in.MonitoringConfiguration),
		Engine:                   fromEngineConfiguration(in.EngineConfiguration),
		ContentKMSKey:            contentKey(in.CustomerContentEncryptionConfiguration),
		RemoveContentKMSKey:      aws.ToBool(in.RemoveCustomerContentEncryptionConfiguration),
		MinimumEncryption:        in.EnableMinimumEncryptionConfiguration,
		ResultsAccessGrants:      fromAccessGrants(in.QueryResultsS3AccessGrantsConfiguration),
	}
	if r := in.ResultConfigurationUpdates; r != nil {
		u.Result = &workgroup.ResultUpdate{
			OutputLocation:            r.OutputLocation,
			RemoveOutputLocation:      aws.ToBool(r.RemoveOutputLocation),
			RemoveEncryption:          aws.ToBool(r.RemoveEncryptionConfiguration),
			ExpectedBucketOwner:       r.ExpectedBucketOwner,
			RemoveExpectedBucketOwner: aws.ToBool(r.RemoveExpectedBucketOwner),
			RemoveACL:                 aws.ToBool(r.RemoveAclConfiguration),
		}
		if e := r.EncryptionConfiguration; e != nil {
			u.Result.EncryptionOption, u.Result.KMSKey = aws.String(string(e.EncryptionOption)), aws.ToString(e.KmsKey)
		}
		if r.AclConfiguration != nil {
			u.Result.ACL = aws.String(string(r.AclConfiguration.S3AclOption))
		}
	}
	if r := in.ManagedQueryResultsConfigurationUpdates; r != nil {
		u.ManagedResults = &workgroup.ManagedResultsUpdate{Enabled: r.Enabled, RemoveKMSKey: aws.ToBool(r.RemoveEncryptionConfiguration)}
		if r.EncryptionConfiguration != nil {
			u.ManagedResults.KMSKey = r.EncryptionConfiguration.KmsKey
		}
	}
	return u
}

// selected is the engine version a request asks for. The effective one is
// ours to say, so it is not read.
func selected(v *types.EngineVersion) string {
	if v == nil {
		return ""
	}
	return aws.ToString(v.SelectedEngineVersion)
}

func fromResultConfiguration(in *types.ResultConfiguration) *workgroup.ResultConfig {
	if in == nil {
		return nil
	}
	r := &workgroup.ResultConfig{
		OutputLocation:      aws.ToString(in.OutputLocation),
		ExpectedBucketOwner: aws.ToString(in.ExpectedBucketOwner),
	}
	if e := in.EncryptionConfiguration; e != nil {
		r.EncryptionOption, r.KMSKey = string(e.EncryptionOption), aws.ToString(e.KmsKey)
	}
	if in.AclConfiguration != nil {
		r.ACL = string(in.AclConfiguration.S3AclOption)
	}
	return r
}

// toResultConfiguration is an empty object for none.
func toResultConfiguration(r *workgroup.ResultConfig) *types.ResultConfiguration {
	out := &types.ResultConfiguration{}
	if r == nil {
		return out
	}
	out.OutputLocation, out.ExpectedBucketOwner = filled(r.OutputLocation), filled(r.ExpectedBucketOwner)
	if r.EncryptionOption != "" {
		out.EncryptionConfiguration = &types.EncryptionConfiguration{
			EncryptionOption: types.EncryptionOption(r.EncryptionOption), KmsKey: filled(r.KMSKey),
		}
	}
	if r.ACL != "" {
		out.AclConfiguration = &types.AclConfiguration{S3AclOption: types.S3AclOption(r.ACL)}
	}
	return out
}

func fromManagedQueryResults(in *types.ManagedQueryResultsConfiguration) *workgroup.ManagedResults {
	if in == nil {
		return nil
	}
	r := &workgroup.ManagedResults{Enabled: in.Enabled}
	if in.EncryptionConfiguration != nil {
		r.KMSKey = in.EncryptionConfiguration.KmsKey
	}
	return r
}

func toManagedQueryResults(r *workgroup.ManagedResults) *types.ManagedQueryResultsConfiguration {
	if r == nil {
		return nil
	}
	out := &types.ManagedQueryResultsConfiguration{Enabled: r.Enabled}
	if r.KMSKey != nil {
		out.EncryptionConfiguration = &types.ManagedQueryResultsEncryptionConfiguration{KmsKey: r.KMSKey}
	}
	return out
}

func contentKey(in *types.CustomerContentEncryptionConfiguration) *string {
	if in == nil {
		return nil
	}
	return in.KmsKey
}

func toContentEncryption(key *string) *types.CustomerContentEncryptionConfiguration {
	if key == nil {
		return nil
	}
	return &types.CustomerContentEncryptionConfiguration{KmsKey: key}
}

func fromIdentityCenter(in *types.IdentityCenterConfiguration) *workgroup.IdentityCenter {
	if in == nil {
		return nil
	}
	return &workgroup.IdentityCenter{Enabled: in.EnableIdentityCenter, InstanceARN: in.IdentityCenterInstanceArn}
}

func toIdentityCenter(c *workgroup.IdentityCenter) *types.IdentityCenterConfiguration {
	if c == nil {
		return nil
	}
	return &types.IdentityCenterConfiguration{EnableIdentityCenter: c.Enabled, IdentityCenterInstanceArn: c.InstanceARN}
}

func fromAccessGrants(in *types.QueryResultsS3AccessGrantsConfiguration) *workgroup.ResultsAccessGrants {
	if in == nil {
		return nil
	}
	return &workgroup.ResultsAccessGrants{
		Enabled:               aws.ToBool(in.EnableS3AccessGrants),
		CreateUserLevelPrefix: in.CreateUserLevelPrefix,
		AuthenticationType:    string(in.AuthenticationType),
	}
}

func toAccessGrants(g *workgroup.ResultsAccessGrants) *types.QueryResultsS3AccessGrantsConfiguration {
	if g == nil {
		return nil
	}
	return &types.QueryResultsS3AccessGrantsConfiguration{
		EnableS3AccessGrants:  aws.Bool(g.Enabled),
		CreateUserLevelPrefix: g.CreateUserLevelPrefix,
		AuthenticationType:    types.AuthenticationType(g.AuthenticationType),
	}
}
