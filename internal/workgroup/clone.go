package workgroup

import (
	"maps"
	"slices"
)

// Clone returns a copy that shares nothing with c.
func (c Config) Clone() Config {
	c.Result = copyOf(c.Result)
	c.ManagedResults = copyOf(c.ManagedResults)
	if c.ManagedResults != nil {
		c.ManagedResults.KMSKey = copyOf(c.ManagedResults.KMSKey)
	}
	c.Enforce = copyOf(c.Enforce)
	c.PublishMetrics = copyOf(c.PublishMetrics)
	c.BytesScannedCutoff = copyOf(c.BytesScannedCutoff)
	c.RequesterPays = copyOf(c.RequesterPays)
	c.AdditionalConfig = copyOf(c.AdditionalConfig)
	c.Monitoring = c.Monitoring.Clone()
	if c.Engine != nil {
		e := c.Engine.Clone()
		c.Engine = &e
	}
	c.ContentKMSKey = copyOf(c.ContentKMSKey)
	c.MinimumEncryption = copyOf(c.MinimumEncryption)
	if c.IdentityCenter = copyOf(c.IdentityCenter); c.IdentityCenter != nil {
		c.IdentityCenter.Enabled = copyOf(c.IdentityCenter.Enabled)
		c.IdentityCenter.InstanceARN = copyOf(c.IdentityCenter.InstanceARN)
	}
	if c.ResultsAccessGrants = copyOf(c.ResultsAccessGrants); c.ResultsAccessGrants != nil {
		c.ResultsAccessGrants.CreateUserLevelPrefix = copyOf(c.ResultsAccessGrants.CreateUserLevelPrefix)
	}
	return c
}

// Clone returns a copy that shares nothing with m; nil of nil.
func (m *Monitoring) Clone() *Monitoring {
	if m == nil {
		return nil
	}
	c := *m
	if c.CloudWatch = copyOf(m.CloudWatch); c.CloudWatch != nil {
		c.CloudWatch.LogGroup = copyOf(c.CloudWatch.LogGroup)
		c.CloudWatch.StreamPrefix = copyOf(c.CloudWatch.StreamPrefix)
		c.CloudWatch.LogTypes = maps.Clone(c.CloudWatch.LogTypes)
		for k, v := range c.CloudWatch.LogTypes {
			c.CloudWatch.LogTypes[k] = slices.Clone(v)
		}
	}
	if c.Managed = copyOf(m.Managed); c.Managed != nil {
		c.Managed.KMSKey = copyOf(c.Managed.KMSKey)
	}
	if c.S3 = copyOf(m.S3); c.S3 != nil {
		c.S3.KMSKey = copyOf(c.S3.KMSKey)
		c.S3.LogLocation = copyOf(c.S3.LogLocation)
	}
	return &c
}

// Clone returns a copy that shares nothing with e.
func (e EngineConfig) Clone() EngineConfig {
	e.CoordinatorDPUs = copyOf(e.CoordinatorDPUs)
	e.MaxConcurrentDPUs = copyOf(e.MaxConcurrentDPUs)
	e.ExecutorDPUs = copyOf(e.ExecutorDPUs)
	e.AdditionalConfigs = maps.Clone(e.AdditionalConfigs)
	e.SparkProperties = maps.Clone(e.SparkProperties)
	e.Classifications = slices.Clone(e.Classifications)
	for i := range e.Classifications {
		e.Classifications[i].Properties = maps.Clone(e.Classifications[i].Properties)
	}
	return e
}

// copyOf returns a pointer to a copy of what p points at; nil of nil.
func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
