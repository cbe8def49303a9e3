package connect

import (
	"net"
	"time"
)

// setPatience leaves it to the system how long what was sent may go without a
// word from the peer's machine.
func setPatience(net.Conn, time.Duration) error { return nil }
