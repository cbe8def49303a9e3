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
		case r.Header.Get("X-Amz-Target") != "":
			s.parts.json.ServeHTTP(w, r)
		case isQuery(r):
			s.parts.query.ServeHTTP(w, r)
		default:
			s.parts.objects.ServeHTTP(w, r)
		}
	})
}

// isQuery reports whether the request is a call of the query protocol: a form
// posted to the root, or a GET of the root with an Action. S3 has neither.
func isQuery(r *http.Request) bool {
	if r.URL.Path != "/" {
		return false
	}
	switch r.Method {
	case http.MethodPost:
		kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
		return strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded")
	case http.MethodGet:
		return strings.Contains(r.URL.RawQuery, "Action=") && r.URL.Query().Has("Action")
	}
	return false
}
