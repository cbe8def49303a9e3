package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"glaux/internal/access"
	"glaux/internal/athenaapi"
	"glaux/internal/awsapi"
	"glaux/internal/calc"
	"glaux/internal/connect"
	"glaux/internal/delivery"
	"glaux/internal/engine/history"
	"glaux/internal/engine/local"
	"glaux/internal/engine/warm"
	"glaux/internal/glueapi"
	"glaux/internal/ident"
	"glaux/internal/logs"
	"glaux/internal/logsapi"
	"glaux/internal/machine"
	"glaux/internal/resource"
	"glaux/internal/session"
	"glaux/internal/statement"
	"glaux/internal/store"
	"glaux/internal/stsapi"
	"glaux/internal/ui"
	"glaux/internal/workgroup"
)

// parts is everything behind the front door. Its methods run it, count it and
// end it; wire makes it.
type parts struct {
	s          *Server
	home       ident.Home
	db         *store.DB
	authority  *access.Authority
	audit      *access.AuditLog
	storage    *storage
	logs       *logs.Store
	cloudWatch delivery.Groups
	workgroups *workgroup.Manager
	pool       *warm.Pool // nil: no driver waits
	sessions   *session.Manager
	calcs      *calc.Manager
	statements *statement.Manager
	resources  *resource.Manager
	delivery   *delivery.Manager
	connect    *connect.Server // nil: Spark Connect is not served
	own        http.Handler    // credentials of sessions
	dashboards *ui.Dashboards
	drivers    measured        // what runs on this machine
	history    *history.Server // event logs of ended sessions

	json  *awsapi.JSON  // AWS JSON 1.1
	query *awsapi.Query // the query protocol
}

// wire opens and connects every part but Spark Connect. Nothing runs yet when
// it returns.
func (s *Server) wire(ctx context.Context) (_ *parts, err error) {
	p := &parts{s: s, home: ident.Home{Partition: "aws", Region: s.cfg.Region, Account: s.cfg.Account}}
	p.audit = access.NewAuditLog(s.log)
	// Faults of the configuration are told before anything is made, and the
	// store comes first because it keeps the key ring.
	keys := access.Config{Dir: s.place.keys(), Home: p.home, Users: s.cfg.users(), Roles: s.cfg.roles(), ExecutorLife: s.cfg.CredentialLife, Audit: p.audit}
	if err = keys.Validate(); err != nil {
		return nil, err
	}
	if p.db, err = store.Open(ctx, s.place.database()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	keys.Keys = p.db
	if p.authority, err = access.Open(ctx, keys); err != nil {
		return nil, err
	}
	if p.storage, err = s.wireStorage(p.authority); err != nil {
		return nil, err
	}
	if err = p.wireLogs(); err != nil {
		return nil, err
	}
	role := p.home.Role(defaultRole)
	err = workgroup.CreateDefaults(ctx, p.db, workgroup.Defaults(p.home.Account, "s3://"+s.cfg.Bucket, role))
	if err != nil {
		return nil, err
	}
	p.workgroups = workgroup.New(p.db, p.authority, p.home, p.pages())
	if err = p.wireSessions(ctx); err != nil {
		return nil, err
	}
	p.wireHistory()
	if err = p.wireDashboards(); err != nil {
		return nil, err
	}
	return p, p.wireAPI()
}

func (p *parts) pages() *ident.Pages { return ident.NewPages(p.authority.PageKey()) }

// wireSessions connects sessions and calculations to the engine, the store and
// each other.
func (p *parts) wireSessions(ctx context.Context) error {
	s := p.s
	epoch, err := p.db.NextEpoch(ctx)
	if err != nil {
		return err
	}
	var memory machine.Reader
	total := memory.Read().Total
	launcher, err := newLauncher(local.Config{
		Data: s.place.data, Sockets: s.place.sockets, Agent: s.place.agent(), Shim: s.cfg.Shim, UIDs: s.cfg.SessionUIDs, Log: s.log,
		Memory: total, Pip: pip(os.Environ(), os.Getenv), Started: s.driverStarted,
		Groups: s.cfg.Confine.groups(s.log), Beyond: s.cfg.Confine.Beyond,
	}, s.cfg.RuntimeDir)
	if err != nil {
		return err
	}
	p.drivers = launcher.keeping
	p.wireResources()
	p.sessions, err = session.New(session.Config{
		Home: p.home, Store: p.db, Tags: p.db, Workgroups: p.workgroups, Resources: glueResources{p.resources, s.cfg.Glue}, Access: p.authority, Launcher: p.wirePool(launcher, epoch, memory), Log: s.log,
		ServerID: ident.NewID(), Epoch: epoch, RuntimeVersion: launcher.version(),
		AgentToken: p.agentToken, Observe: s.meter.took.observe,
		Assume: func(s *session.Session) error {
			_, err := p.authority.ExecutorCaller(string(s.Key), executorOf(s))
			return err
		},
		MaxSessions: s.cfg.MaxSessions, Budgets: s.cfg.Budget.limits(), Memory: memory.Read, Reclaim: p.reclaim,
		ReserveMiB: s.cfg.Memory.Reserve, HeadroomMiB: s.cfg.Headroom(total), QueueMeter: newQueueMeter(s.meter.registry), Cores: s.cfg.DPU.Cores, HeapMiB: s.cfg.DPU.Heap,
		MaxOutput: s.cfg.MaxOutput, Orphaned: s.cfg.Orphaned, IdleTimeout: s.cfg.IdleTimeout, Retention: s.cfg.Retention,
		GlueTimeout: s.cfg.Glue.Timeout, GlueIdleTimeout: s.cfg.Glue.IdleTimeout,
		ResultLocation: "s3://" + s.cfg.Bucket, MaxLog: s.cfg.Logs.MaxDriver, FlushTimeout: s.cfg.Logs.Flush, EventLogs: s.place.history(),
	})
	if err != nil {
		return err
	}
	spill := filepath.Join(s.place.data, "tmp")
	if err := os.RemoveAll(spill); err != nil { // what a killed server left
		return fmt.Errorf("cannot empty %s: %w", spill, err)
	}
	if err := os.MkdirAll(spill, 0o700); err != nil {
		return fmt.Errorf("cannot make %s: %w", spill, err)
	}
	keep := results{client: p.storage.client, authority: p.authority, spill: spill}
	p.calcs, err = calc.New(calc.Config{
		Home: p.home, Store: p.db, Sessions: p.sessions, Access: p.authority, Log: s.log, Objects: keep,
		Patience: patience,
	})
	if err != nil {
		return err
	}
	if err := p.wireStatements(keep); err != nil {
		return err
	}
	if err := p.wireDelivery(); err != nil {
		return err
	}
	p.sessions.Attach(p.calcs, p.statements, p.delivery)
	p.workgroups.EndSessionsWith(p.sessions)
	p.own = p.authority.CredentialsHandler(executors{p.sessions}, s.log)
	return nil
}

// executors tells package access whose credentials a session's driver gets.
type executors struct{ sessions *session.Manager }

// Executor returns the execution role of a live session.
func (e executors) Executor(ctx context.Context, key string) (access.Executor, error) {
	s, err := e.sessions.Session(ctx, session.Key(key))
	if errors.Is(err, session.ErrNotFound) || err == nil && s.State == session.Ended {
		return access.Executor{}, access.ErrNoSession
	}
	if err != nil {
		return access.Executor{}, err
	}
	return executorOf(&s), nil
}

func executorOf(s *session.Session) access.Executor {
	return access.Executor{SessionID: s.ID, Workgroup: s.Workgroup, Glue: s.Face == session.Glue, RoleARN: s.ExecutionRole}
}

// defaultRole is the execution role of the workgroups that exist from the start.
const defaultRole = "glaux-session"

// wireAPI makes the dispatchers over the domains.
func (p *parts) wireAPI() error {
	options := awsapi.Options{Authenticator: p.authority, Log: p.s.log, Observer: p.s.meter, MaxBody: p.s.cfg.MaxRequestBytes}
	athena := &athenaapi.API{Home: p.home, Pages: p.pages(), Workgroups: p.workgroups, Sessions: p.sessions, Calcs: p.calcs, Endpoints: endpoints{p}, Dashboards: p.dashboards}
	rows, err := athena.Operations()
	if err != nil {
		return fmt.Errorf("cannot serve Athena: %w", err)
	}
	glueRows, err := (&glueapi.API{
		Home: p.home, Pages: p.pages(), Sessions: p.sessions, Statements: p.statements, Resources: p.resources, Endpoints: endpoints{p}, Dashboards: p.dashboards, SystemLogs: p.systemLogs(),
	}).Operations()
	if err != nil {
		return fmt.Errorf("cannot serve Glue: %w", err)
	}
	logRows, err := (&logsapi.API{Home: p.home, Logs: logs.NewManager(p.logs, p.authority, p.home, p.pages())}).Operations()
	if err != nil {
		return fmt.Errorf("cannot serve CloudWatch Logs: %w", err)
	}
	if p.json, err = awsapi.NewJSON(slices.Concat(rows, glueRows, logRows), options); err != nil {
		return err
	}
	stsRows, err := (&stsapi.API{Authority: p.authority}).Operations()
	if err != nil {
		return fmt.Errorf("cannot serve STS: %w", err)
	}
	if p.query, err = awsapi.NewQuery(stsRows, options); err != nil {
		return err
	}
	return nil
}

// users and roles turn the configuration's lists into package access's.
func (c *Config) users() []access.User {
	out := make([]access.User, len(c.Users))
	for i, u := range c.Users {
		out[i] = access.User{Name: u.Name, AccessKey: u.AccessKey, SecretKey: u.SecretKey, Allow: rules(u.Allow)}
	}
	return out
}

func (c *Config) roles() []access.Role {
	out := make([]access.Role, len(c.Roles))
	for i, r := range c.Roles {
		out[i] = access.Role{Name: r.Name, Allow: rules(r.Allow)}
	}
	return out
}

func rules(in []Rule) []access.Rule {
	out := make([]access.Rule, len(in))
	for i, r := range in {
		out[i] = access.Rule{Actions: r.Actions, Resources: r.Resources}
	}
	return out
}

// run starts what goes on by itself; it ends when ctx does.
func (p *parts) run(ctx context.Context, group *errgroup.Group) {
	p.s.meter.registry.MustRegister(newCensus(ctx, p), newDeliveries(p.delivery), newUsage(ctx, p.drivers, p.db, p.s.log), newQueue(p.sessions))
	p.s.meter.watchHistory(p.history)
	group.Go(func() error { return p.audit.Run(ctx) })
	p.storage.run(ctx, group, p.s.ready, p.s.log)
	group.Go(func() error { return p.logs.Run(ctx) })
	if p.pool != nil {
		p.s.meter.registry.MustRegister(newPoolGauges(p.pool))
		group.Go(func() error { return p.pool.Run(ctx) })
	}
	group.Go(func() error { return p.sessions.Run(ctx) })
	group.Go(func() error { return p.calcs.Run(ctx) })
	group.Go(func() error { return p.statements.Run(ctx) })
	group.Go(func() error { return p.delivery.Run(ctx) })
	group.Go(func() error { return p.history.Run(ctx) })
}

// close releases what wire opened, in reverse order. Nothing runs any more.
func (p *parts) close() {
	if p.dashboards != nil {
		p.dashboards.Close()
	}
	if p.storage != nil {
		p.storage.close()
	}
	if c, ok := p.cloudWatch.(interface{ Close() }); ok {
		c.Close()
	}
	if p.db != nil {
		if err := p.db.Close(); err != nil {
			p.s.log.Error("cannot close the store", "cause", err)
		}
	}
}

// root returns the root key pair.
func (p *parts) root() access.KeyPair { return p.authority.Root() }

// endLeft ends the sessions that a server which is gone left behind. It is a
// server without a front door for as long as that takes.
func (s *Server) endLeft(ctx context.Context) error {
	var err error
	s.cfg.Pool.Max = 0 // and what waits
	if s.parts, err = s.wire(ctx); err != nil {
		return err
	}
	defer s.parts.close()
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	group, work := errgroup.WithContext(work)
	s.parts.run(work, group)
	err = s.parts.sessions.EndAll(ctx, func(line string) { fmt.Fprintln(s.out, line) })
	end()
	return errors.Join(err, withoutCancelled(group.Wait()))
}
