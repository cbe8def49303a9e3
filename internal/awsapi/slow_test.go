package awsapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/athena"

	"glaux/internal/access"
)

// TestSlowBody checks that a body which does not arrive ends the request, and
// that one which does leaves no deadline on the connection.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	waits := make(chan struct{})
	row := Operation{Service: Athena, Name: "ListWorkGroups", Handler: Handle(
		func(ctx context.Context, _ access.Caller, _ *athena.ListWorkGroupsInput) (*athena.ListWorkGroupsOutput, error) {
			select {
			case <-waits:
				return &athena.ListWorkGroupsOutput{}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})}
	const within = 200 * time.Millisecond
	d, err := NewJSON([]Operation{row}, Options{Authenticator: gate{}, Log: slog.New(slog.DiscardHandler), BodyTime: within})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(d)
	defer front.Close()
	ask := func(length int, body string) (net.Conn, *bufio.Reader) {
		conn, err := net.Dial("tcp", front.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: ok\r\nContent-Type: %s\r\nX-Amz-Target: AmazonAthena.ListWorkGroups\r\nContent-Length: %d\r\n\r\n%s", json11, length, body)
		if err != nil {
			t.Fatal(err)
		}
		return conn, bufio.NewReader(conn)
	}
	status := func(from *bufio.Reader) int {
		res, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode
	}
	for _, length := range []int{10, 100_000} {
		if _, from := ask(length, "{"); status(from) != http.StatusBadRequest {
			t.Errorf("half a body of %d bytes is accepted", length)
		}
	}
	conn, from := ask(2, "{}")
	time.AfterFunc(3*within, func() { close(waits) }) // the operation outlasts the deadline
	if got := status(from); got != http.StatusOK {
		t.Errorf("an operation that takes longer than a body may: %d", got)
	}
	conn.Close()
}
