package connect

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"
)

// How many connections that have shown no good token there may be, of one
// source and in all, and for how long. One more makes the oldest go: a client
// needs milliseconds to show its token, and so gets through a flood.
const (
	strangersOfOne = 1024
	strangersInAll = 4096
	strangersStay  = 30 * time.Second
)

// link is one client's connection below TLS.
type link struct {
	net.Conn
	source netip.Prefix // its address; of IPv6 the network, of which one machine has all
	tokens accepted
	admit  *admission
	since  time.Time
	once   sync.Once

	all, one *list.Element // its places among the strangers; guarded by admit.mu, nil once it is none
}

// Close closes the connection, once.
func (l *link) Close() error {
	l.once.Do(func() {
		l.admit.forget(l)
		l.admit.meter.Connected(-1)
	})
	return l.Conn.Close()
}

// drop closes a connection that nobody reads from or writes to any more.
func (l *link) drop() { _ = l.Close() } // a connection that is gone is what is wanted

// welcome notes that the connection has shown a good token.
func (l *link) welcome() { l.admit.forget(l) }

// linkKey is the key of a request context's link.
type linkKey struct{}

// withLink is http.Server.ConnContext.
func withLink(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, linkKey{}, c.(*tls.Conn).NetConn())
}

// linkOf returns the connection that a request came over.
func linkOf(ctx context.Context) *link { return ctx.Value(linkKey{}).(*link) }

// sourceOf is the part of an address by which peers are told apart.
func sourceOf(a net.Addr) netip.Prefix {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{} // not a network that has addresses
	}
	bits, addr := 32, p.Addr().Unmap().WithZone("")
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// admission keeps the connections of strangers: those that have shown no good
// token yet.
type admission struct {
	meter Meter

	mu  sync.Mutex
	all *list.List                  // guarded by mu; *link, oldest first
	by  map[netip.Prefix]*list.List // guarded by mu; likewise, by source
}

func newAdmission(m Meter) *admission {
	return &admission{meter: m, all: list.New(), by: make(map[netip.Prefix]*list.List)}
}

// enter takes a connection as a stranger's, and closes an older one when there
// are too many.
func (a *admission) enter(c net.Conn) *link {
	l := &link{Conn: c, source: sourceOf(c.RemoteAddr()), admit: a, since: time.Now()}
	a.meter.Connected(1)
	a.mu.Lock()
	own := a.by[l.source]
	if own == nil {
		own = list.New()
		a.by[l.source] = own
	}
	l.all, l.one = a.all.PushBack(l), own.PushBack(l)
	var over *link
	switch {
	case own.Len() > strangersOfOne:
		over = own.Front().Value.(*link)
	case a.all.Len() > strangersInAll:
		over = a.all.Front().Value.(*link)
	}
	a.mu.Unlock()
	if over != nil {
		a.meter.Refused(TooMany)
		over.drop()
	}
	return l
}

// forget takes a connection from the strangers, if it is among them.
func (a *admission) forget(l *link) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.all == nil {
		return
	}
	a.all.Remove(l.all)
	own := a.by[l.source]
	own.Remove(l.one)
	if own.Len() == 0 {
		delete(a.by, l.source)
	}
	l.all, l.one = nil, nil
}

// expire closes the connections that have been strangers for too long.
func (a *admission) expire(now time.Time) {
	var old []*link
	a.mu.Lock()
	for e := a.all.Front(); e != nil; e = e.Next() {
		l := e.Value.(*link)
		if now.Sub(l.since) < strangersStay {
			break
		}
		old = append(old, l)
	}
	a.mu.Unlock()
	for _, l := range old {
		l.drop()
	}
}

// closeAll closes the connections of strangers.
func (a *admission) closeAll() { a.expire(time.Now().Add(2 * strangersStay)) }
