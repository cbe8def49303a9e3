package connect

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// setPatience bounds how long what was sent may go without a word from the
// peer's machine before the connection counts as broken. A ping is enough to
// find out; the machine answers also for a program that does not.
func setPatience(c net.Conn, d time.Duration) error {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var bad error
	err = raw.Control(func(fd uintptr) {
		bad = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return bad
}
