package server

import (
	"net/http"
	"strings"
)

// handler tells requests apart: one address serves everything.
func (s *Server) handler() http.Handler {
	own := s.pages()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.parts.dashboards.Handles(r): // user code controls what is there, so nothing else is
			s.recorded(s.parts.dashboards, w, r)
		case s.parts.json.Handles(r): // S3 has no such header or type
			s.parts.json.ServeHTTP(w, r)
		case s.parts.storage.gateway.Virtual(r): // a bucket may hold _glaux/x, or be asked for by a form's type
			s.parts.storage.gateway.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/_glaux/"):
			if !ownHost(r.Host, s.cfg.Listen, s.cfg.S3.Hosts...) {
				http.Error(w, "this host name is not ours", http.StatusMisdirectedRequest)
				return
			}
			s.recorded(own, w, r)
		case s.parts.query.Handles(r):
			s.parts.query.ServeHTTP(w, r)
		default:
			s.parts.storage.gateway.ServeHTTP(w, r)
		}
	})
}
