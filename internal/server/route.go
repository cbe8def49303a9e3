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
		case strings.HasPrefix(r.URL.Path, "/_glaux/"):
			if !ownHost(r.Host, s.cfg.Listen) {
				http.Error(w, "this host name is not ours", http.StatusMisdirectedRequest)
				return
			}
			own.ServeHTTP(w, r)
		case r.Header.Get("X-Amz-Target") != "": // S3 has no such header
			s.parts.json.ServeHTTP(w, r)
		case s.parts.query.Handles(r):
			s.parts.query.ServeHTTP(w, r)
		default:
			s.parts.storage.gateway.ServeHTTP(w, r)
		}
	})
}
