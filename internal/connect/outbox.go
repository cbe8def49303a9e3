package connect

import (
	"net"
	"runtime"
	"sync"
	"time"
)

// Bounds of what waits to be sent to one client, bytes.
const (
	outboxSize  = 128 << 10 // then its writer waits
	outboxSmall = 5 << 10   // less is sent at once, what HTTP/2 says of itself too; it waits for nobody while there is room for twice outboxSize
)

// lingers bounds how long a closed connection takes for what was written before.
const lingers = 5 * time.Second

// outbox gathers what is written to a connection in quick succession: a system
// call for each frame of a long result costs more than its encryption.
//
// Its writes come one after another, as TLS makes them. What they leave is sent
// by one goroutine, which is there only while something waits.
type outbox struct {
	to      net.Conn
	senders *sync.WaitGroup // of whoever waits for all that is sent

	mu      sync.Mutex // guards what follows
	drained sync.Cond  // of mu; told when there is room, or no use in waiting
	wait    *[]byte    // what is to be sent; nil: nothing
	sending bool       // runSend is under way
	failed  error      // nothing can be written any more
}

func newOutbox(to net.Conn, senders *sync.WaitGroup) *outbox {
	o := &outbox{to: to, senders: senders}
	o.drained.L = &o.mu
	return o
}

// outboxes are what waits is kept in.
var outboxes = sync.Pool{New: func() any {
	b := make([]byte, 0, outboxSize+32<<10)
	return &b
}}

func (o *outbox) write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	most := outboxSize
	if len(p) < outboxSmall {
		most *= 2
	}
	for o.failed == nil && o.wait != nil && len(*o.wait) >= most {
		o.drained.Wait()
	}
	if o.failed != nil {
		return 0, o.failed
	}
	if !o.sending && len(p) < outboxSmall {
		o.mu.Unlock()
		defer o.mu.Lock()
		return o.to.Write(p)
	}
	if o.wait == nil {
		o.wait = outboxes.Get().(*[]byte)
	}
	*o.wait = append(*o.wait, p...)
	if !o.sending {
		o.sending = true
		o.senders.Go(o.runSend)
	}
	return len(p), nil
}

// runSend sends what waits until nothing does. It lets everybody else go first:
// more may be about to come.
func (o *outbox) runSend() {
	for {
		runtime.Gosched()
		o.mu.Lock()
		b := o.wait
		if b == nil {
			o.sending = false
			if o.failed != nil {
				_ = o.to.Close() // close has left it to us, or nothing works any more
			}
			o.mu.Unlock()
			return
		}
		o.wait = nil
		o.drained.Broadcast()
		o.mu.Unlock()
		_, err := o.to.Write(*b)
		*b = (*b)[:0]
		outboxes.Put(b)
		if err != nil {
			o.fail(err)
		}
	}
}

// fail gives up what waits.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == nil {
		o.failed = err
	}
	o.wait = nil
	o.drained.Broadcast()
}

// close closes the connection: at once, or when what waits is sent, for which
// it gets as long as lingers. It does not block.
func (o *outbox) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == nil {
		o.failed = net.ErrClosed
	}
	o.drained.Broadcast()
	if o.sending && o.to.SetWriteDeadline(time.Now().Add(lingers)) == nil {
		return nil
	}
	return o.to.Close()
}
