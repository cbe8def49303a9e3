// Package workgroup keeps Athena workgroups: their configuration, validation
// and tags. Tags of sessions are kept here too, because the tag operations do
// not tell one resource from the other.
package workgroup

import "time"

// Engine version names that a workgroup can select.
const (
	EngineAuto    = "AUTO"
	EngineSQL     = "Athena engine version 3"
	EnginePySpark = "PySpark engine version 3"
	EngineSpark35 = "Apache Spark version 3.5"
)

// Workgroup is one workgroup with its configuration.
type Workgroup struct {
	Account     string // twelve digits
	Name        string
	Description string
	State       string // "ENABLED" or "DISABLED"
	Config      Config
	Created     time.Time
	Version     int64 // row version, for compare-and-swap
}

// Config is everything a workgroup can be configured with. Pointers tell
// "absent" from the zero value, because GetWorkGroup reads back what was set.
type Config struct {
	Result              *ResultConfig        `json:",omitempty"`
	ManagedResults      *ManagedResults      `json:",omitempty"`
	Enforce             *bool                `json:",omitempty"`
	PublishMetrics      *bool                `json:",omitempty"`
	BytesScannedCutoff  *int64               `json:",omitempty"`
	RequesterPays       *bool                `json:",omitempty"`
	SelectedEngine      string               // one of the Engine constants
	AdditionalConfig    *string              `json:",omitempty"`
	ExecutionRole       string               `json:",omitempty"`
	Monitoring          *Monitoring          `json:",omitempty"`
	Engine              *EngineConfig        `json:",omitempty"`
	ContentKMSKey       *string              `json:",omitempty"` // CustomerContentEncryptionConfiguration
	MinimumEncryption   *bool                `json:",omitempty"`
	IdentityCenter      *IdentityCenter      `json:",omitempty"`
	ResultsAccessGrants *ResultsAccessGrants `json:",omitempty"`
}

// Effective returns the engine a selected version stands for.
func (c Config) Effective() string {
	if c.SelectedEngine == "" || c.SelectedEngine == EngineAuto {
		return EngineSQL
	}
	return c.SelectedEngine
}

// Spark reports whether the workgroup runs sessions rather than queries.
func (c Config) Spark() bool { e := c.Effective(); return e == EnginePySpark || e == EngineSpark35 }

// ResultConfig says where and how results are written.
type ResultConfig struct {
	OutputLocation      string `json:",omitempty"`
	EncryptionOption    string `json:",omitempty"` // SSE_S3, SSE_KMS, CSE_KMS
	KMSKey              string `json:",omitempty"`
	ExpectedBucketOwner string `json:",omitempty"`
	ACL                 string `json:",omitempty"` // BUCKET_OWNER_FULL_CONTROL
}

// ManagedResults is ManagedQueryResultsConfiguration.
type ManagedResults struct {
	Enabled bool
	KMSKey  *string `json:",omitempty"`
}

// IdentityCenter is IdentityCenterConfiguration.
type IdentityCenter struct {
	Enabled     *bool   `json:",omitempty"`
	InstanceARN *string `json:",omitempty"`
}

// ResultsAccessGrants is QueryResultsS3AccessGrantsConfiguration.
type ResultsAccessGrants struct {
	Enabled               bool
	CreateUserLevelPrefix *bool `json:",omitempty"`
	AuthenticationType    string
}

// Monitoring says where a session's logs go. A nil block is absent.
type Monitoring struct {
	CloudWatch *CloudWatchLogging `json:",omitempty"`
	Managed    *ManagedLogging    `json:",omitempty"`
	S3         *S3Logging         `json:",omitempty"`
}

// CloudWatchLogging delivers logs to CloudWatch Logs.
type CloudWatchLogging struct {
	Enabled      bool
	LogGroup     *string             `json:",omitempty"`
	StreamPrefix *string             `json:",omitempty"`
	LogTypes     map[string][]string `json:",omitempty"` // SPARK_DRIVER, SPARK_EXECUTOR → STDOUT, STDERR
}

// ManagedLogging keeps logs on the service's side; on unless turned off.
type ManagedLogging struct {
	Enabled bool
	KMSKey  *string `json:",omitempty"`
}

// S3Logging delivers logs to a location in S3.
type S3Logging struct {
	Enabled     bool
	KMSKey      *string `json:",omitempty"`
	LogLocation *string `json:",omitempty"`
}

// EngineConfig is EngineConfiguration of a workgroup or a session. Sizes are in DPU.
type EngineConfig struct {
	CoordinatorDPUs   *int32            `json:",omitempty"`
	MaxConcurrentDPUs *int32            `json:",omitempty"`
	ExecutorDPUs      *int32            `json:",omitempty"`
	AdditionalConfigs map[string]string `json:",omitempty"`
	SparkProperties   map[string]string `json:",omitempty"`
	Classifications   []Classification  `json:",omitempty"`
}

// Classification is a named set of properties, such as "spark-defaults".
type Classification struct {
	Name       string
	Properties map[string]string `json:",omitempty"`
}

// Tag is one key and value on a workgroup or a session.
type Tag struct{ Key, Value string }
