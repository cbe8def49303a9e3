package server

import (
	"context"
	"net/http"

	"golang.org/x/sync/errgroup"
)

// parts is everything behind the front door.
type parts struct {
	json    http.Handler // AWS JSON 1.1
	query   http.Handler // the query protocol
	objects http.Handler // S3
}

func (s *Server) wire(_ context.Context) (*parts, error) {
	none := http.NotFoundHandler()
	return &parts{json: none, query: none, objects: none}, nil
}

func (p *parts) run(_ *errgroup.Group, _ context.Context) {}
func (p *parts) close()                                   {}
func (p *parts) live(context.Context) (int, error)        { return 0, nil }
func (p *parts) root() (key, secret string)               { return "", "" }
func (p *parts) stopSessions(context.Context, func(string)) error {
	return nil
}
func (s *Server) endLeft(context.Context) error { return nil }
