package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// connections is how many clients send at once.
const connections = 8

// signed returns the bytes of one signed AWS JSON 1.1 request.
func signed(ctx context.Context, base, op string, body []byte, cred aws.Credentials) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonAthena."+op)
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, cred, r, hex.EncodeToString(sum[:]), "athena", "us-east-1", time.Now()); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// result is what a load run saw.
type result struct {
	rate float64
	p50  time.Duration
	p99  time.Duration
}

// load sends the same request bytes over every connection for d and counts complete 200 replies.
func load(ctx context.Context, base string, request []byte, d time.Duration) (result, error) {
	u, err := url.Parse(base)
	if err != nil {
		return result{}, err
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex // guards took and errs
		took []time.Duration
		errs []error
	)
	began := time.Now()
	for range connections {
		wg.Go(func() {
			mine, err := hammer(ctx, u.Host, request, began.Add(d))
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(began)
	return result{float64(len(took)) / elapsed.Seconds(), quantile(took, 0.5), quantile(took, 0.99)}, errors.Join(errs...)
}

// hammer sends the request over one connection until the deadline. Where the
// server ends the connection after a reply, as some peers do, it makes another.
func hammer(ctx context.Context, addr string, request []byte, until time.Time) (took []time.Duration, err error) {
	var conn net.Conn
	var replies *bufio.Reader
	took = make([]time.Duration, 0, 1<<16)
	for began := time.Now(); began.Before(until); began = time.Now() {
		if conn == nil {
			if conn, err = new(net.Dialer).DialContext(ctx, "tcp", addr); err != nil {
				return took, err
			}
			if err := conn.SetDeadline(until.Add(5 * time.Second)); err != nil {
				return took, errors.Join(err, conn.Close())
			}
			replies = bufio.NewReaderSize(conn, 16<<10)
		}
		if _, err := conn.Write(request); err != nil {
			return took, errors.Join(err, conn.Close())
		}
		last, err := readReply(replies)
		if err != nil {
			return took, errors.Join(err, conn.Close())
		}
		took = append(took, time.Since(began))
		if last {
			if err := conn.Close(); err != nil {
				return took, err
			}
			conn = nil
		}
	}
	if conn == nil {
		return took, nil
	}
	return took, conn.Close()
}

// readReply reads one reply with a Content-Length and wants status 200. last
// says that the server ends the connection after it.
func readReply(r *bufio.Reader) (last bool, err error) {
	length, status := -1, ""
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if status == "" {
			status = string(line)
			continue
		}
		if len(line) == 0 {
			break
		}
		switch name, value, _ := bytes.Cut(line, []byte(":")); {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return false, err
			}
		case bytes.EqualFold(name, []byte("Connection")):
			last = bytes.EqualFold(bytes.TrimSpace(value), []byte("close"))
		}
	}
	if length < 0 {
		return false, errors.New("reply without Content-Length")
	}
	if len(status) < 12 || status[9:12] != "200" {
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return false, err
		}
		return false, fmt.Errorf("%s: %s", status, body)
	}
	_, err = r.Discard(length)
	return last, err
}

// startMoto starts the peer on a free port and waits until it answers.
func startMoto(ctx context.Context, path string) (*exec.Cmd, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		return nil, "", err
	}
	cmd := exec.Command(path, "-p", port)
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	base := "http://127.0.0.1:" + port
	for range 600 {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			return cmd, base, conn.Close()
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return nil, "", errors.Join(err, cmd.Process.Kill())
		}
	}
	return nil, "", errors.Join(errors.New("moto did not start"), cmd.Process.Kill())
}

// measureRequests compares signed requests per second with moto's.
func measureRequests(ctx context.Context, s *server) ([]row, error) {
	id, err := startSession(ctx, s.athena())
	if err != nil {
		return nil, err
	}
	var peer result
	peerText := "not measured"
	if s.o.moto != "" {
		cmd, base, err := startMoto(ctx, s.o.moto)
		if err != nil {
			return nil, err
		}
		request, err := signed(ctx, base, "GetWorkGroup", marshal(map[string]string{"WorkGroup": "primary"}), s.cred)
		if err != nil {
			return nil, err
		}
		peer, err = load(ctx, base, request, s.o.load)
		if err := errors.Join(err, cmd.Process.Kill()); err != nil {
			return nil, err
		}
		_ = cmd.Wait() // it was killed: the status says so
		peerText = fmt.Sprintf("moto GetWorkGroup %.0f/s (p99 %s)", peer.rate, ms(peer.p99))
	}
	var rows []row
	for _, op := range []struct {
		name string
		body map[string]string
	}{
		{"GetWorkGroup", map[string]string{"WorkGroup": "primary"}},
		{"GetSession", map[string]string{"SessionId": id}},
	} {
		request, err := signed(ctx, s.url, op.name, marshal(op.body), s.cred)
		if err != nil {
			return nil, err
		}
		if _, err := load(ctx, s.url, request, time.Second); err != nil { // warm up
			return nil, err
		}
		got, err := load(ctx, s.url, request, s.o.load)
		if err != nil {
			return nil, err
		}
		ratio := ""
		if peer.rate > 0 {
			ratio = fmt.Sprintf("%.0f ×", got.rate/peer.rate)
		}
		rows = append(rows, row{
			"signed " + op.name + ", 8 connections", fmt.Sprintf("%.0f/s (p50 %s, p99 %s)", got.rate, ms(got.p50), ms(got.p99)),
			peerText, ratio, "≥ 15,000/s, ≥ 25 ×, p99 ≤ 5 ms",
		})
	}
	return rows, nil
}
