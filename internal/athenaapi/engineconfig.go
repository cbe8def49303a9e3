package athenaapi

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"

	"glaux/internal/workgroup"
)

// fromEngineConfiguration reads the engine configuration of a workgroup or a session.
func fromEngineConfiguration(in *types.EngineConfiguration) *workgroup.EngineConfig {
	if in == nil {
		return nil
	}
	e := &workgroup.EngineConfig{
		CoordinatorDPUs:   in.CoordinatorDpuSize,
		MaxConcurrentDPUs: in.MaxConcurrentDpus,
		ExecutorDPUs:      in.DefaultExecutorDpuSize,
		AdditionalConfigs: in.AdditionalConfigs,
		SparkProperties:   in.SparkProperties,
	}
	for _, c := range in.Classifications {
		e.Classifications = append(e.Classifications, workgroup.Classification{Name: aws.ToString(c.Name), Properties: c.Properties})
	}
	return e
}

// toEngineConfiguration is the engine configuration as it reads back.
func toEngineConfiguration(e *workgroup.EngineConfig) *types.EngineConfiguration {
	if e == nil {
		return nil
	}
	out := &types.EngineConfiguration{
		CoordinatorDpuSize:     e.CoordinatorDPUs,
		MaxConcurrentDpus:      e.MaxConcurrentDPUs,
		DefaultExecutorDpuSize: e.ExecutorDPUs,
		AdditionalConfigs:      e.AdditionalConfigs,
		SparkProperties:        e.SparkProperties,
	}
	for _, c := range e.Classifications {
		out.Classifications = append(out.Classifications, types.Classification{Name: aws.String(c.Name), Properties: c.Properties})
	}
	return out
}

// fromMonitoringConfiguration reads where logs of a workgroup or a session go.
func fromMonitoringConfiguration(in *types.MonitoringConfiguration) *workgroup.Monitoring {
	if in == nil {
		return nil
	}
	m := &workgroup.Monitoring{}
	if c := in.CloudWatchLoggingConfiguration; c != nil {
		m.CloudWatch = &workgroup.CloudWatchLogging{
			Enabled: aws.ToBool(c.Enabled), LogGroup: c.LogGroup, StreamPrefix: c.LogStreamNamePrefix, LogTypes: c.LogTypes,
		}
	}
	if c := in.ManagedLoggingConfiguration; c != nil {
		m.Managed = &workgroup.ManagedLogging{Enabled: aws.ToBool(c.Enabled), KMSKey: c.KmsKey}
	}
	if c := in.S3LoggingConfiguration; c != nil {
		m.S3 = &workgroup.S3Logging{Enabled: aws.ToBool(c.Enabled), KMSKey: c.KmsKey, LogLocation: c.LogLocation}
	}
	return m
}

// toMonitoringConfiguration is the monitoring configuration as it reads back.
func toMonitoringConfiguration(m *workgroup.Monitoring) *types.MonitoringConfiguration {
	if m == nil {
		return nil
	}
	out := &types.MonitoringConfiguration{}
	if c := m.CloudWatch; c != nil {
		out.CloudWatchLoggingConfiguration = &types.CloudWatchLoggingConfiguration{
			Enabled: aws.Bool(c.Enabled), LogGroup: c.LogGroup, LogStreamNamePrefix: c.StreamPrefix, LogTypes: c.LogTypes,
		}
	}
	if c := m.Managed; c != nil {
		out.ManagedLoggingConfiguration = &types.ManagedLoggingConfiguration{Enabled: aws.Bool(c.Enabled), KmsKey: c.KMSKey}
	}
	if c := m.S3; c != nil {
		out.S3LoggingConfiguration = &types.S3LoggingConfiguration{Enabled: aws.Bool(c.Enabled), KmsKey: c.KMSKey, LogLocation: c.LogLocation}
	}
	return out
}
