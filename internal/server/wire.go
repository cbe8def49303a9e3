package server

import (
	"context"
	"fmt"
	"net/http"

	"golang.org/x/sync/errgroup"

	"glaux/internal/access"
	"glaux/internal/athenaapi"
	"glaux/internal/awsapi"
	"glaux/internal/ident"
	"glaux/internal/store"
	"glaux/internal/stsapi"
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
	workgroups *workgroup.Manager

	json    *awsapi.JSON  // AWS JSON 1.1
	query   *awsapi.Query // the query protocol
	objects http.Handler  // S3
}

// wire opens and connects every part. Nothing runs yet when it returns.
func (s *Server) wire(ctx context.Context) (_ *parts, err error) {
	p := &parts{s: s, home: ident.Home{Partition: "aws", Region: s.cfg.Region, Account: s.cfg.Account}}
	p.audit = access.NewAuditLog(s.log)
	p.authority, err = access.Open(ctx, access.Config{
		Dir: s.place.keys(), Home: p.home, Users: s.cfg.users(), Roles: s.cfg.roles(), Audit: p.audit,
	})
	if err != nil {
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
	role := p.home.Role(defaultRole)
	err = workgroup.CreateDefaults(ctx, p.db, workgroup.Defaults(p.home.Account, "s3://"+s.cfg.Bucket, role))
	if err != nil {
		return nil, err
	}
	pages := ident.NewPages(p.authority.PageKey())
	p.workgroups = workgroup.New(p.db, p.authority, p.home, pages)
	return p, p.wireAPI(pages)
}

// defaultRole is the execution role of the workgroups that exist from the start.
const defaultRole = "glaux-session"

// wireAPI makes the dispatchers over the domains.
func (p *parts) wireAPI(pages *ident.Pages) error {
	options := awsapi.Options{Authenticator: p.authority, Log: p.s.log, Observer: p.s.meter}
	athena := &athenaapi.API{Home: p.home, Pages: pages, Workgroups: p.workgroups}
	rows, err := athena.Operations()
	if err != nil {
		return fmt.Errorf("cannot serve Athena: %w", err)
	}
	if p.json, err = awsapi.NewJSON(rows, options); err != nil {
		return err
	}
	stsRows, err := (&stsapi.API{Authority: p.authority}).Operations()
	if err != nil {
		return fmt.Errorf("cannot serve STS: %w", err)
	}
	if p.query, err = awsapi.NewQuery(stsRows, options); err != nil {
		return err
	}
	p.objects = http.NotFoundHandler()
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
	group.Go(func() error { return p.audit.Run(ctx) })
}

// close releases what wire opened, in reverse order. Nothing runs any more.
func (p *parts) close() {
	if p.db != nil {
		if err := p.db.Close(); err != nil {
			p.s.log.Error("cannot close the store", "cause", err)
		}
	}
}

// root returns the root key pair.
func (p *parts) root() access.KeyPair { return p.authority.Root() }

// live counts the sessions that would go on without the server.
func (p *parts) live(context.Context) (int, error) { return 0, nil }

// stopSessions ends every session and returns once they are gone; say is
// called with what a person should read.
func (p *parts) stopSessions(context.Context, func(string)) error { return nil }

// endLeft ends the sessions that a server which is gone left behind.
func (s *Server) endLeft(context.Context) error { return nil }
