package doctor

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// connectAddress is where Spark Connect is served when nothing else is asked for.
const connectAddress = "127.0.0.1:443"

// fix443 are the ways to let an ordinary user serve on port 443.
const fix443 = `clients that follow AWS's documentation expect port 443; until it is allowed, Spark Connect is served on another port, which its URLs then carry. Three ways to allow it:
    for this program:  sudo setcap cap_net_bind_service=+ep bin/glaux   (again after each build)
    for every program: sudo sysctl -w net.ipv4.ip_unprivileged_port_start=443   (and into /etc/sysctl.d, to keep it)
    by a redirect:     sudo iptables -t nat -A OUTPUT -o lo -p tcp --dport 443 -j REDIRECT --to-ports 15443
                       and glaux serve --connect-listen 127.0.0.1:15443 --connect-public-port 443`

// connect checks the address of Spark Connect.
func connect(ctx context.Context, address string) []Check {
	switch address {
	case "off":
		return nil
	case "":
	default:
		return []Check{port(ctx, address)}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", connectAddress)
	return []Check{port443(l, err)}
}

// port443 judges an attempt to listen on the port that clients expect.
func port443(l net.Listener, err error) Check {
	c := Check{Name: "Spark Connect's port", Result: OK, Detail: "443 may be bound"}
	if err == nil {
		l.Close()
		return c
	}
	c.Result = Warning
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		c.Detail = "443 is in use"
		c.Fix = "a server runs already, or another program uses the port: then Spark Connect is served on another one, or choose with --connect-listen"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		c.Detail, c.Fix = "443 may not be bound by this user", fix443
	default:
		c.Detail = firstLine(err.Error())
	}
	return c
}
