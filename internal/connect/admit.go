package connect

import (
	"container/list"
	"context"
	"crypto/tls"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"glaux/internal/session"
)

// How many connections that have shown no good token there may be, of one
// source and in all, and for how long. One more makes the oldest go: a client
// needs milliseconds to show its token, and so gets through a flood.
const (
	strangersOfOne = 1024
	strangersInAll = 4096
	strangersStay  = 30 * time.Second
)

// guestsOfOne is how many connections that have shown a good token one session
// may have: they may stay for as long as the session does.
const guestsOfOne = 1024

// link is one client's connection below TLS.
type link struct {
	net.Conn
	source netip.Prefix // its address; of IPv6 the network, of which one machine has all
	tokens accepted
	admit  *admission
	once   sync.Once
	outbox *outbox

	// Guarded by admit.mu.
	since    time.Time                // since when it is a stranger
	all, one *list.Element            // its places among the strangers, nil while it is none
	guestOf  map[session.Key]struct{} // the sessions that it showed a good token of
	closed   bool
}

// Write writes, or keeps for a moment what more will follow soon.
func (l *link) Write(p []byte) (int, error) { return l.outbox.write(p) }

// SetWriteDeadline sets it for what is still to be sent too. TLS ends with one
// that is over, for writes that it makes no more: that one is not passed on,
// because what it wrote before may wait.
func (l *link) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() && !t.After(time.Now()) {
		return nil
	}
	return l.Conn.SetWriteDeadline(t)
}

// Close closes the connection, once.
func (l *link) Close() error {
	l.once.Do(func() {
		l.admit.leave(l)
		l.admit.meter.Connected(-1)
	})
	return l.outbox.close()
}

// drop closes a connection at once, whatever is still to be sent.
func (l *link) drop() {
	l.outbox.fail(net.ErrClosed)
	_ = l.Close() // a connection that is gone is what is wanted
	_ = l.Conn.Close()
}

// welcome notes that the connection has shown a good token of a session that
// lives; false: the session has too many connections.
func (l *link) welcome(key session.Key) bool { return l.admit.host(l, key) }

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

// admission keeps the connections: those of strangers, which have shown no good
// token yet, and those of guests, by the sessions that they have shown one of.
type admission struct {
	meter   Meter
	senders sync.WaitGroup // of what is written to connections

	mu  sync.Mutex
	all *list.List                  // guarded by mu; *link, oldest first
	by  map[netip.Prefix]*list.List // guarded by mu; likewise, by source

	guests map[session.Key]map[*link]struct{} // guarded by mu
}

func newAdmission(m Meter) *admission {
	return &admission{
		meter: m, all: list.New(), by: make(map[netip.Prefix]*list.List), guests: make(map[session.Key]map[*link]struct{}),
	}
}

// enter takes a connection as a stranger's, and closes an older one when there
// are too many.
func (a *admission) enter(c net.Conn) *link {
	l := &link{Conn: c, source: sourceOf(c.RemoteAddr()), admit: a, guestOf: make(map[session.Key]struct{}), outbox: newOutbox(c, &a.senders)}
	a.meter.Connected(1)
	a.mu.Lock()
	own := a.estrangeLocked(l)
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

// estrangeLocked puts a connection among the strangers, and returns those of
// its source.
func (a *admission) estrangeLocked(l *link) *list.List {
	own := a.by[l.source]
	if own == nil {
		own = list.New()
		a.by[l.source] = own
	}
	l.since, l.all, l.one = time.Now(), a.all.PushBack(l), own.PushBack(l)
	return own
}

// leave takes a connection that closes from wherever it is.
func (a *admission) leave(l *link) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l.closed = true
	a.knowLocked(l)
	for key := range l.guestOf {
		a.partLocked(l, key)
	}
}

// host makes a connection a guest of a session; false: it has too many.
func (a *admission) host(l *link, key session.Key) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, is := l.guestOf[key]; is || l.closed {
		return true
	}
	if len(a.guests[key]) >= guestsOfOne {
		return false
	}
	if a.guests[key] == nil {
		a.guests[key] = make(map[*link]struct{})
	}
	a.guests[key][l], l.guestOf[key] = struct{}{}, struct{}{}
	a.knowLocked(l)
	return true
}

// hosts returns the sessions that have guests.
func (a *admission) hosts() []session.Key {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.guests))
}

// part ends what a session that is over was to its guests: who is nobody
// else's is a stranger again.
func (a *admission) part(key session.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for l := range a.guests[key] {
		a.partLocked(l, key)
		if len(l.guestOf) == 0 {
			a.estrangeLocked(l)
		}
	}
}

func (a *admission) partLocked(l *link, key session.Key) {
	delete(l.guestOf, key)
	delete(a.guests[key], l)
	if len(a.guests[key]) == 0 {
		delete(a.guests, key)
	}
}

// knowLocked takes a connection from the strangers, if it is among them.
func (a *admission) knowLocked(l *link) {
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
