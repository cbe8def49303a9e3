package session

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/ident"
	"glaux/internal/machine"
	"glaux/internal/workgroup"
)

// Config is what a Manager stands on. Fields without a default are required.
type Config struct {
	Home       ident.Home
	Store      Store
	Workgroups Workgroups
	Access     access.Decider
	Launcher   engine.Launcher
	// Tags keeps the tags of Glue sessions. Nil: there are no Glue sessions.
	Tags TagStore
	// Resources are what Glue sessions refer to. Nil: nothing is looked up.
	Resources Resources
	Log       *slog.Logger

	// Observe is told what each start took. Nil: nobody is.
	Observe func(StartRecord)

	// ServerID names this server in the rows it owns.
	ServerID string
	// Epoch is this server's, from Store.NextEpoch. Rows and drivers of a
	// higher one are left alone.
	Epoch uint64
	// RuntimeVersion names the Spark runtime that drivers are started with.
	RuntimeVersion string
	// AgentToken returns the secret with which a session's driver asks for
	// credentials; always the same one for the same key.
	AgentToken func(Key) string
	// Assume says why no credentials of a session's execution role can be
	// made: such a session does not start. Nil: they always can.
	Assume func(*Session) error

	// MaxSessions is how many sessions may be alive at once on this machine.
	// Zero: no limit.
	MaxSessions int
	// Budgets bound what sessions may have at once.
	Budgets Budgets
	// Memory says what memory the machine has. Nil: starts do not ask for it.
	Memory func() machine.Memory
	// ReserveMiB is what an idle session is counted for, MiB. Default 320.
	// HeadroomMiB is what a start leaves for sessions that work.
	ReserveMiB, HeadroomMiB int
	// Reclaim makes somebody give memory back that is needed for a session, and
	// says whether somebody did; the memory may come later (Recheck). It is called while a session
	// waits for memory, once a second. Nil: nobody can.
	Reclaim func() bool
	// QueueMeter counts what the queue did. Nil: nobody does.
	QueueMeter QueueMeter

	// Cores is the number of task slots of a driver. Default 2.
	Cores int
	// HeapMiB is the heap limit of a driver's JVM, MiB. Default 1024.
	HeapMiB int
	// MaxOutput is how many bytes of each output stream of a calculation are
	// kept. Default 256 MiB.
	MaxOutput int64
	// MaxLog is how many bytes of each of a driver's own streams are kept for
	// those who read them. Zero: the launcher's choice.
	MaxLog int64
	// Orphaned is how long a driver lives without a server. Default 24 hours.
	Orphaned time.Duration
	// ResultLocation is where results go when the workgroup names no place: an
	// s3:// location. Empty: calculations of such a workgroup are refused.
	ResultLocation string

	// EventLogs is the directory below which each session's Spark event log is
	// kept, under its key, where its monitoring wants one. Empty: none is kept.
	EventLogs string

	// IdleTimeout is a session's when it asks for none. Default 20 minutes.
	IdleTimeout time.Duration
	// GlueTimeout is the longest life of a Glue session that asks for none.
	// Default 48 hours, which is Glue's.
	GlueTimeout time.Duration
	// GlueIdleTimeout is how long a Glue session may be idle that does not say
	// so. Zero, as at Glue: as long as it may live.
	GlueIdleTimeout time.Duration
	// StartTimeout ends a session that is not ready after so long. Default 10
	// minutes, because a start may download packages.
	StartTimeout time.Duration
	// AdoptTimeout is how long a driver that is known to exist may not answer
	// a server that comes back before its session counts as lost. Default 30 s.
	AdoptTimeout time.Duration
	// StopGrace is how long a driver may take to end politely. Default 3 s.
	StopGrace time.Duration
	// FlushTimeout is how long the end of a session that was asked for waits for
	// its logs to arrive; one that nobody asked for waits at most 2 s. Default 30 s.
	FlushTimeout time.Duration
	// DegradedTimeout ends a session whose interpreter has not answered for so
	// long. Default 5 minutes.
	DegradedTimeout time.Duration
	// Retention is how long an ended session is kept. Default 45 days, what
	// Athena keeps of queries.
	Retention time.Duration
}

// Workgroups is what sessions ask of the workgroups; workgroup.Manager has it.
type Workgroups interface {
	// Find returns one workgroup, or a fault with Athena's text.
	Find(ctx context.Context, account, name string) (workgroup.Workgroup, error)
	// WorkgroupTags returns the tags of a workgroup.
	WorkgroupTags(ctx context.Context, account, name string) ([]workgroup.Tag, error)
}

// Resources is what Glue sessions ask of what they refer to; resource.Manager
// has it.
type Resources interface {
	// ApplyProfile fills in what the usage profile of the caller has as
	// defaults, and returns the profile's name, empty for none. The error is a
	// fault where the request goes beyond the profile.
	ApplyProfile(ctx context.Context, who access.Caller, in *GlueRequest) (name string, err error)
	// CheckSession refuses connections and a security configuration that are
	// not there with faults. No security configuration: an empty name.
	CheckSession(ctx context.Context, account string, connections []string, security string) error
}

// Work is what runs inside sessions and needs their drivers.
type Work interface {
	// Settle returns once no ended work of the session needs its driver any
	// more, so that what the driver left behind can be removed. The error is
	// that of ctx.
	Settle(ctx context.Context, key Key) error
}

// Attendant is work that wants to know of every driver; a Work may be one.
type Attendant interface {
	// Attend is told of a session's driver that was launched or taken over, also
	// of one whose session has ended. It returns at once.
	Attend(s Session, d engine.Driver)
	// Flush is called once the driver is gone and before the session's end is
	// recorded, and returns once what the driver wrote is where it belongs. The
	// error is that of ctx, which bounds it.
	Flush(ctx context.Context, key Key) error
}

func (c *Config) check() error {
	if c.Store == nil || c.Workgroups == nil || c.Access == nil || c.Launcher == nil || c.Log == nil || c.AgentToken == nil {
		return errors.New("cannot manage sessions: a required part is missing")
	}
	if c.Home.Account == "" || c.Epoch == 0 {
		return errors.New("cannot manage sessions: account or epoch is missing")
	}
	return nil
}

func (c *Config) fill() {
	c.Budgets.fill()
	orInt(&c.ReserveMiB, 320)
	orInt(&c.Cores, 2)
	orInt(&c.HeapMiB, 1024)
	if c.MaxOutput == 0 {
		c.MaxOutput = 256 << 20
	}
	orTime(&c.Orphaned, 24*time.Hour)
	orTime(&c.IdleTimeout, 20*time.Minute)
	orTime(&c.GlueTimeout, 48*time.Hour)
	orTime(&c.StartTimeout, 10*time.Minute)
	orTime(&c.AdoptTimeout, 30*time.Second)
	orTime(&c.StopGrace, 3*time.Second)
	orTime(&c.FlushTimeout, 30*time.Second)
	orTime(&c.DegradedTimeout, 5*time.Minute)
	orTime(&c.Retention, 45*24*time.Hour)
}

func orInt(n *int, def int) {
	if *n == 0 {
		*n = def
	}
}

func orTime(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}
