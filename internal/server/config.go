package server

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// Config is everything a server can be told. Every field that is not a list is
// a flag, an environment variable GLAUX_… and a key of the YAML file, in this
// order of strength. The zero value of a field means its default, unless its
// comment says otherwise.
//
// The struct tags name the flags and defaults, so that help text, file and
// struct cannot drift apart.
type Config struct {
	// Listen is the TCP address of everything: API calls, S3 and our own
	// pages. Port 0 takes a free one; then no other listener takes a fixed
	// port either, unless it is given.
	Listen string `help:"Address of the API and of S3." default:"127.0.0.1:4580" placeholder:"HOST:PORT" yaml:"listen"`
	// MetricsListen is the TCP address of /metrics, which asks for no
	// signature and so must be a loopback one. Empty: 127.0.0.1:4581, or a
	// free port when Listen asks for one. "off": not served.
	MetricsListen string `help:"Loopback address of /metrics; 'off' for none." placeholder:"HOST:PORT" yaml:"metrics-listen"`
	// DataDir holds everything that must survive: metadata, keys, objects,
	// spools. One server at a time uses it. Empty: $XDG_DATA_HOME/glaux.
	DataDir string `help:"Where everything is kept (default: $$XDG_DATA_HOME/glaux or ~/.local/share/glaux)." placeholder:"DIR" yaml:"data-dir"`
	// SocketDir is a short directory below which Unix sockets are made; their
	// paths have to stay within 100 bytes. Nobody but this user and root may be
	// able to write to it. Empty: $XDG_RUNTIME_DIR/glaux, or
	// /run/glaux, or a directory below the temporary one.
	SocketDir string `help:"Short directory for Unix sockets." placeholder:"DIR" yaml:"socket-dir"`
	// RuntimeDir is where Spark and its Python are installed. Empty: DataDir/runtime.
	RuntimeDir string `help:"Where Spark is installed (default: runtime in the data directory)." placeholder:"DIR" yaml:"runtime-dir"`
	// Shim is the program that owns a session's processes. Empty: glaux-shim
	// beside this program.
	Shim string `help:"The shim's program (default: glaux-shim beside glaux)." placeholder:"FILE" yaml:"shim"`
	// ReadyFile is written atomically once requests are answered: its first
	// line is the base URL, further lines are name=address. Empty: none.
	ReadyFile string `help:"File to write once requests are answered." placeholder:"FILE" yaml:"ready-file"`

	// Region and Account are part of every ARN.
	Region  string `help:"AWS region to speak for." default:"us-east-1" yaml:"region"`
	Account string `help:"AWS account id to speak for." default:"000000000000" yaml:"account"`

	// TLSCert and TLSKey are PEM files; with them Listen speaks HTTPS.
	TLSCert string `name:"tls-cert" help:"PEM certificate: Listen then speaks HTTPS." placeholder:"FILE" yaml:"tls-cert"`
	TLSKey  string `name:"tls-key" help:"PEM key of --tls-cert." placeholder:"FILE" yaml:"tls-key"`
	// AllowPlaintext permits Listen beyond loopback without TLS.
	AllowPlaintext bool `help:"Permit an address beyond loopback without TLS (containers)." yaml:"allow-plaintext"`

	// Connect is the endpoint of Spark Connect.
	Connect Connect `embed:"" prefix:"connect-" yaml:"connect"`

	// UI is how browsers see the Spark UIs of sessions, History what is kept
	// of those that are over.
	UI      UI      `embed:"" prefix:"ui-" yaml:"ui"`
	History History `embed:"" prefix:"history-" yaml:"history"`

	// Glue is how Glue sessions differ from others.
	Glue Glue `embed:"" prefix:"glue-" yaml:"glue"`

	// Budget is what sessions may have, Memory how starts wait for memory.
	Budget Budget `embed:"" prefix:"budget-" yaml:"budget"`
	Memory Memory `embed:"" prefix:"memory-" yaml:"memory"`
	// Pool is what waits for sessions to come.
	Pool Pool `embed:"" prefix:"pool-" yaml:"pool"`

	DPU DPU `embed:"" prefix:"dpu-" yaml:"dpu"`
	// Confine keeps sessions from each other's memory and processors.
	Confine Confine `embed:"" prefix:"confine-" yaml:"confine"`
	S3      S3      `embed:"" prefix:"s3-" yaml:"s3"`
	// Logs is where the logs of sessions are kept.
	Logs Logs `embed:"" prefix:"logs-" yaml:"logs"`

	// Bucket is made at the first start and holds the results of the
	// workgroups that exist from the start. Empty: glaux-<account>.
	Bucket string `help:"Bucket for results (default: glaux-ACCOUNT)." placeholder:"NAME" yaml:"bucket"`
	// MaxSessions refuses a session when so many live, those that wait among
	// them. 0: none is refused for that; starts wait for memory.
	MaxSessions int `help:"Sessions at once, beyond which further ones are refused; 0: starts wait for memory." default:"0" yaml:"max-sessions"`
	// Processors is how many the server itself computes on. 0: half of what
	// the machine or the control group has. The rest is for sessions; and what
	// is passed on goes from goroutine to goroutine, which costs most where
	// each wakes another processor.
	Processors int `help:"Processors that the server computes on; 0: half of the machine's." default:"0" yaml:"processors"`
	// IdleTimeout is for sessions that ask for none: 1 minute to 8 hours.
	IdleTimeout time.Duration `help:"Idle timeout of sessions that ask for none." default:"20m" yaml:"idle-timeout"`
	// Orphaned is how long a session lives without a server before it ends itself.
	Orphaned time.Duration `help:"A session ends itself when no server came back for so long." default:"24h" yaml:"orphaned"`
	// CredentialLife is how long the credentials inside a session are good;
	// they are renewed at half of it. From 10 s.
	CredentialLife time.Duration `help:"How long the credentials inside a session are good before they are renewed." default:"1h" yaml:"credential-life"`
	// Retention is how long ended sessions and their calculations stay listed.
	Retention time.Duration `help:"How long ended sessions stay listed." default:"1080h" yaml:"retention"`
	// MaxOutput is how many bytes of each output stream of a calculation are kept.
	MaxOutput int64 `help:"Bytes kept of each output stream of a calculation." default:"268435456" yaml:"max-output"`
	// Statements bounds the statements of Glue sessions.
	Statements Statements `embed:"" prefix:"statement-" yaml:"statement"`
	// SessionUIDs is the first of 65,537 user ids; as root, every session runs
	// as one of its own, and what shows the UIs of ended ones as the last. An
	// ordinary user's sessions run as that user.
	SessionUIDs int `name:"session-uids" help:"First of the user ids that sessions run as when the server is root." default:"200000" yaml:"session-uids"`

	// MaxRequestBytes bounds the body of an API call. Zero: 16 MiB. S3 has its
	// own limits.
	MaxRequestBytes int64 `help:"Longest body of an API call, bytes." default:"16777216" yaml:"max-request-bytes"`

	// LogLevel is debug, info, warn or error; LogFormat text or json.
	LogLevel  string `help:"debug, info, warn or error." default:"info" yaml:"log-level"`
	LogFormat string `help:"text or json." default:"text" yaml:"log-format"`

	// Users are further long-lived keys beside the root key pair.
	Users []User `kong:"-" yaml:"users"`
	// Roles are roles that exist beside the ones a client may name freely.
	Roles []Role `kong:"-" yaml:"roles"`
}

// DPU says what a data processing unit is on this machine. The wire and the
// metering always speak of the nominal 4 vCPU and 16 GB.
type DPU struct {
	Cores int `help:"Task slots of a session's driver." default:"2" yaml:"cores"`
	// Memory is what a session that works may have: the whole of JVM and
	// Python, MiB. Starts leave so much free at most (Memory.Headroom).
	Memory int `help:"Memory that a session that works may have, MiB." default:"2048" yaml:"memory"`
	Heap   int `help:"JVM heap of a session's driver, MiB." default:"1024" yaml:"heap"`
}

// S3 is an object store to use instead of the embedded one, and how ours is
// reached. An empty Endpoint means the embedded one; the keys are the
// endpoint's own.
type S3 struct {
	Endpoint  string `help:"URL of an S3 to use instead of the embedded one." placeholder:"URL" yaml:"endpoint"`
	Region    string `help:"Region that --s3-endpoint expects in signatures (default: --region)." yaml:"region"`
	AccessKey string `help:"Access key id for --s3-endpoint." placeholder:"KEY" yaml:"access-key"`
	SecretKey string `help:"Secret access key for --s3-endpoint." placeholder:"KEY" yaml:"secret-key"`
	// Hosts are names that lead here and that buckets may stand in front of
	// (BUCKET.HOST, BUCKET.s3.HOST), besides localhost and Listen's. Our own
	// pages answer under them too.
	Hosts []string `help:"Names that buckets may stand in front of, besides localhost and --listen's." placeholder:"HOST" yaml:"hosts"`
}

// Connect is the endpoint of Spark Connect: TLS and HTTP/2, with a token on
// every call.
type Connect struct {
	// Listen is its TCP address. Port 0 takes a free one. Empty: 127.0.0.1:443
	// where that may be bound, otherwise port 15443, or a free one when that is
	// taken; but the port of the last start first while sessions of then live. A
	// free one when the server's Listen asks for one. "off": not served.
	Listen string `help:"Address of Spark Connect; 'off' for none (default: 127.0.0.1:443, or port 15443 where 443 may not be bound)." placeholder:"HOST:PORT" yaml:"listen"`
	// PublicHost and PublicPort are what clients are told to connect to, behind
	// a load balancer or a redirect. Empty: localhost, or Listen's host when
	// only another name leads here. 0: the port that is listened on.
	PublicHost string `help:"Host that clients of Spark Connect are told (default: localhost)." placeholder:"HOST" yaml:"public-host"`
	PublicPort int    `help:"Port that clients of Spark Connect are told; 0: the one listened on." default:"0" yaml:"public-port"`
	// HostPerSession tells clients KEY.sessions.PUBLIC-HOST, which must lead
	// here. Both kinds of host are always served.
	HostPerSession bool `help:"Tell clients of Spark Connect a host of each session's own, below the public one." yaml:"host-per-session"`
	// TLSCert and TLSKey are PEM files, read again when they change. Empty: a
	// certificate of a local authority, which "glaux env" makes clients trust.
	TLSCert string `name:"tls-cert" help:"PEM certificate of Spark Connect (default: one of a local authority)." placeholder:"FILE" yaml:"tls-cert"`
	TLSKey  string `name:"tls-key" help:"PEM key of --connect-tls-cert." placeholder:"FILE" yaml:"tls-key"`
	// TokenLife is how long the tokens of GetSessionEndpoint are good: 10 s to 12 h.
	TokenLife time.Duration `help:"How long the tokens of GetSessionEndpoint are good." default:"30m" yaml:"token-life"`
	// TokenGrace is how long after a start of the server expired tokens of live
	// sessions are taken, up to 24 h. 0: not at all.
	TokenGrace time.Duration `help:"After a start of the server, expired tokens of live sessions are taken for so long." default:"10m" yaml:"token-grace"`
	// StrictTokens refuses every expired token, also on connections that had
	// accepted it.
	StrictTokens bool `help:"Refuse expired tokens of Spark Connect also where a connection had accepted them." yaml:"strict-tokens"`
}

// Logs says how long and how much the store of logs keeps, and how the logs of
// sessions are delivered: to the own CloudWatch Logs, or to the one at Endpoint,
// whose keys are its own.
type Logs struct {
	// RetentionDays is for managed logging; groups of clients have what they
	// ask for. 1 to 3653. Zero: 30.
	RetentionDays int `help:"Days that managed logs are kept." default:"30" yaml:"retention-days"`
	// MaxBytes bounds the files of all log groups together; beyond it the
	// oldest events are dropped. From 64 MiB. Zero: 4 GiB.
	MaxBytes int64 `help:"Bytes that all log groups may take on the disk; the oldest events go first." default:"4294967296" yaml:"max-bytes"`

	// MaxDriver is how many bytes of each of a driver's two streams are kept
	// until they are delivered; beyond it the oldest go. From 1 MiB. Zero: 128 MiB.
	MaxDriver int64 `help:"Bytes of each stream of a driver that are kept for delivery; the oldest go first." default:"134217728" yaml:"max-driver"`
	// S3Every is how long lines are gathered before they become an object in
	// S3, unless there are 4 MiB of them. 1 s to 1 h. Zero: 1 minute.
	S3Every time.Duration `name:"s3-every" help:"How long lines are gathered before they become an object in S3." default:"1m" yaml:"s3-every"`
	// Flush is how long the end of a session waits for its logs to arrive. Up
	// to 10 minutes. Zero: 30 s.
	Flush time.Duration `help:"How long the end of a session waits for its logs to arrive." default:"30s" yaml:"flush"`
	// Keep is how long after a session's end its logs are kept for a target that
	// is down. Up to 30 days. Zero: 24 hours.
	Keep time.Duration `help:"How long after a session's end its logs are kept for a target that is down." default:"24h" yaml:"keep"`

	Endpoint  string `help:"URL of a CloudWatch Logs that sessions' CloudWatch logging goes to instead of ours." placeholder:"URL" yaml:"endpoint"`
	Region    string `help:"Region that --logs-endpoint expects in signatures (default: --region)." yaml:"region"`
	AccessKey string `help:"Access key id for --logs-endpoint." placeholder:"KEY" yaml:"access-key"`
	SecretKey string `help:"Secret access key for --logs-endpoint." placeholder:"KEY" yaml:"secret-key"`
}

// User is a named user with one long-lived key pair.
type User struct {
	Name      string `yaml:"name"`
	AccessKey string `yaml:"access-key"` // 16 to 128 of A-Z a-z 0-9 _
	SecretKey string `yaml:"secret-key"` // at least 16 characters
	Allow     []Rule `yaml:"allow"`      // empty: everything
	// UsageProfile is the Glue usage profile of the user's sessions; empty: that of --glue-usage-profile.
	UsageProfile string `yaml:"usage-profile"`
}

// Role is a role of the account with rules of its own. Every other well-formed
// role ARN of the account may be assumed too and has the default rules.
type Role struct {
	Name  string `yaml:"name"`
	Allow []Rule `yaml:"allow"` // empty: the default rules
	// UsageProfile is the Glue usage profile of those who have the role; empty: that of --glue-usage-profile.
	UsageProfile string `yaml:"usage-profile"`
}

// Rule permits actions on resources. In both, * stands for any text.
type Rule struct {
	Actions   []string `yaml:"actions"`
	Resources []string `yaml:"resources"` // ARNs; empty: all
}

var (
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
	regionForm  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
	hostForm    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	bucketForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
)

// Complete fills in the defaults that depend on the environment or on other
// fields. getenv is os.Getenv outside tests.
func (c *Config) Complete(getenv func(string) string) error {
	if c.DataDir == "" {
		base := getenv("XDG_DATA_HOME")
		if base == "" {
			home := getenv("HOME")
			if home == "" {
				return errors.New("cannot find a data directory: neither XDG_DATA_HOME nor HOME is set; give --data-dir")
			}
			base = filepath.Join(home, ".local", "share")
		}
		c.DataDir = filepath.Join(base, "glaux")
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return fmt.Errorf("cannot make the data directory's path absolute: %w", err)
	}
	c.DataDir = dir
	if c.RuntimeDir == "" {
		c.RuntimeDir = filepath.Join(dir, "runtime")
	} else if c.RuntimeDir, err = filepath.Abs(c.RuntimeDir); err != nil {
		return fmt.Errorf("cannot make the runtime directory's path absolute: %w", err)
	}
	if c.SocketDir == "" {
		c.SocketDir = socketDir(getenv)
	}
	if c.MetricsListen == "" {
		c.MetricsListen = "127.0.0.1:4581"
		if _, port, err := net.SplitHostPort(c.Listen); err == nil && port == "0" {
			c.MetricsListen = "127.0.0.1:0"
		}
	}
	if _, port, err := net.SplitHostPort(c.Listen); err == nil && port == "0" && c.Connect.Listen == "" {
		c.Connect.Listen = "127.0.0.1:0"
	}
	c.Connect.TokenLife = cmp.Or(c.Connect.TokenLife, 30*time.Minute)
	if c.Shim == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("cannot find this program: %w", err)
		}
		c.Shim = filepath.Join(filepath.Dir(self), "glaux-shim")
	}
	c.Glue.fill()
	c.Confine.fill()
	c.Pool.fill()
	c.UI.fill()
	c.Statements.fill()
	c.Budget.fill()
	c.Memory.Reserve = cmp.Or(c.Memory.Reserve, 320)
	c.History.fill()
	if c.Bucket == "" {
		c.Bucket = "glaux-" + c.Account
	}
	c.Logs.RetentionDays, c.Logs.MaxBytes = cmp.Or(c.Logs.RetentionDays, 30), cmp.Or(c.Logs.MaxBytes, 4<<30)
	c.Logs.MaxDriver, c.Logs.S3Every = cmp.Or(c.Logs.MaxDriver, 128<<20), cmp.Or(c.Logs.S3Every, time.Minute)
	c.Logs.Flush, c.Logs.Keep = cmp.Or(c.Logs.Flush, 30*time.Second), cmp.Or(c.Logs.Keep, 24*time.Hour)
	c.History.Retention, c.History.MaxBytes = cmp.Or(c.History.Retention, 720*time.Hour), cmp.Or(c.History.MaxBytes, 4<<30)
	c.History.Heap, c.History.Idle = cmp.Or(c.History.Heap, 512), cmp.Or(c.History.Idle, 10*time.Minute)
	c.UI.Visit = cmp.Or(c.UI.Visit, 8*time.Hour)
	c.S3.Region, c.Logs.Region = cmp.Or(c.S3.Region, c.Region), cmp.Or(c.Logs.Region, c.Region)
	return nil
}

// socketDir returns the first short directory this user can make sockets in.
func socketDir(getenv func(string) string) string {
	// After su or sudo it may be another user's, who could replace what is in it.
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		if err := owned(dir, os.Geteuid(), os.Stat); err == nil || errors.Is(err, os.ErrNotExist) {
			return filepath.Join(dir, "glaux")
		}
	}
	if os.Geteuid() == 0 {
		if info, err := os.Stat("/run"); err == nil && info.IsDir() {
			return "/run/glaux"
		}
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("glaux-%d", os.Geteuid()))
}

// Check reports every fault of a completed configuration at once, before
// anything starts; users and roles are checked by package access, as the next step. (The command line's library calls a method named Validate
// by itself, too early.)
func (c *Config) Check() error {
	var faults []error
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if host, _, err := net.SplitHostPort(c.Listen); err != nil {
		bad("cannot listen on %q: %w", c.Listen, err)
	} else if !loopback(host) && c.TLSCert == "" && !c.AllowPlaintext {
		bad("cannot listen on %q without TLS: it is reachable from other machines; give --tls-cert and --tls-key, or --allow-plaintext", c.Listen)
	}
	if c.MetricsListen != "off" {
		if host, _, err := net.SplitHostPort(c.MetricsListen); err != nil {
			bad("cannot serve metrics on %q: %w", c.MetricsListen, err)
		} else if !loopback(host) {
			bad("cannot serve metrics on %q: it is reachable from other machines and asks for no signature; give a loopback address", c.MetricsListen)
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("tls-cert and tls-key go together")
	}
	match := func(form *regexp.Regexp, name, value string) {
		if !form.MatchString(value) {
			bad("cannot use %s %q: it must match %s", name, value, form)
		}
	}
	match(accountForm, "account", c.Account)
	match(regionForm, "region", c.Region)
	match(bucketForm, "bucket", c.Bucket)
	within := func(name string, value, low, high int64) {
		if value < low || value > high {
			bad("cannot use %s %d: it must be between %d and %d", name, value, low, high)
		}
	}
	within("dpu-cores", int64(c.DPU.Cores), 1, 1024)
	within("dpu-heap", int64(c.DPU.Heap), 512, 1<<20)
	within("dpu-memory", int64(c.DPU.Memory), int64(c.DPU.Heap), 1<<21)
	within("max-sessions", int64(c.MaxSessions), 0, 100000)
	within("processors", int64(c.Processors), 0, 1024)
	if c.MaxRequestBytes != 0 {
		within("max-request-bytes", c.MaxRequestBytes, 1<<10, 1<<30)
	}
	within("logs-retention-days", int64(c.Logs.RetentionDays), 1, 3653)
	within("logs-max-bytes", c.Logs.MaxBytes, 64<<20, 1<<50)
	within("logs-max-driver", c.Logs.MaxDriver, 1<<20, 1<<40)
	c.Statements.check(within)
	within("max-output", c.MaxOutput, 1<<10, 1<<40)
	within("session-uids", int64(c.SessionUIDs), 1000, 1<<31-65537)
	lasts := func(name string, value, low, high time.Duration) {
		if value < low || value > high {
			bad("cannot use %s %v: it must be between %v and %v", name, value, low, high)
		}
	}
	lasts("idle-timeout", c.IdleTimeout, time.Minute, 8*time.Hour)
	lasts("orphaned", c.Orphaned, time.Second, 30*24*time.Hour)
	lasts("credential-life", c.CredentialLife, 10*time.Second, 12*time.Hour)
	lasts("logs-s3-every", c.Logs.S3Every, time.Second, time.Hour)
	lasts("logs-flush", c.Logs.Flush, time.Millisecond, 10*time.Minute)
	lasts("logs-keep", c.Logs.Keep, time.Second, 30*24*time.Hour)
	lasts("retention", c.Retention, time.Minute, 10*365*24*time.Hour)
	c.checkUI(bad, within, lasts)
	c.Glue.check(lasts)
	c.Budget.check(bad, within, lasts)
	c.Memory.check(within)
	c.Pool.check(within, lasts)
	if _, err := logLevel(c.LogLevel); err != nil {
		bad("%w", err)
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		bad("cannot log as %q: it is text or json", c.LogFormat)
	}
	faults = append(faults, c.Connect.check()...)
	for _, host := range c.S3.Hosts {
		match(hostForm, "s3-hosts", host)
		if net.ParseIP(host) != nil {
			bad("cannot use s3-hosts %q: nothing can stand in front of an address", host)
		}
	}
	endpoint := func(name, at, access, secret string) {
		if at == "" {
			return
		}
		if u, err := url.Parse(at); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			bad("cannot use %s-endpoint %q: it must be an http or https URL", name, at)
		}
		if access == "" || secret == "" {
			bad("%s-endpoint needs %s-access-key and %s-secret-key", name, name, name)
		}
	}
	endpoint("s3", c.S3.Endpoint, c.S3.AccessKey, c.S3.SecretKey)
	endpoint("logs", c.Logs.Endpoint, c.Logs.AccessKey, c.Logs.SecretKey)
	return errors.Join(faults...)
}

// check reports every fault.
func (c *Connect) check() (faults []error) {
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Listen != "" && c.Listen != "off" {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			bad("cannot serve Spark Connect on %q: %w", c.Listen, err)
		}
	}
	if host := c.PublicHost; host != "" && !hostForm.MatchString(host) {
		// Clients split host and port at a colon, so an IPv6 address is none.
		bad("cannot use connect-public-host %q: it must match %s", host, hostForm)
	}
	if c.HostPerSession && net.ParseIP(c.PublicHost) != nil {
		bad("cannot use connect-host-per-session with connect-public-host %q: nothing can stand in front of an address", c.PublicHost)
	}
	if c.PublicPort < 0 || c.PublicPort > 65535 {
		bad("cannot use connect-public-port %d: it must be between 0 and 65535", c.PublicPort)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("connect-tls-cert and connect-tls-key go together")
	}
	if c.TokenLife < 10*time.Second || c.TokenLife > 12*time.Hour {
		bad("cannot use connect-token-life %v: it must be between 10s and 12h", c.TokenLife)
	}
	if c.TokenGrace < 0 || c.TokenGrace > 24*time.Hour {
		bad("cannot use connect-token-grace %v: it must be between 0 and 24h", c.TokenGrace)
	}
	return faults
}

// loopback reports whether only this machine reaches host.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
