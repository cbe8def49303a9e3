package ui

import (
	"bytes"
	"html/template"
	"net/http"
	"strconv"
)

// notice is a page of our own on the host of a session's UI: why there is no
// Spark UI to see, and what to do about it.
type notice struct {
	Status  int
	Title   string
	Text    string
	Link    string // where to go on; empty: nowhere
	Refresh int    // seconds after which the browser tries again; 0: it does not
}

// noticePage has no script and loads nothing.
const noticePage = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Title}}</title>
{{- if .Refresh}}<meta http-equiv="refresh" content="{{.Refresh}}">{{end}}
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:15vh auto;padding:0 1em;color:#222}h1{font-size:1.4em}</style>
</head><body><h1>{{.Title}}</h1><p>{{.Text}}</p>
{{- if .Link}}<p><a href="{{.Link}}">Open the Spark UI of this session</a></p>{{end}}
</body></html>
`

// pages makes pages of our own.
type pages struct{ notice *template.Template }

func newPages() pages { return pages{template.Must(template.New("notice").Parse(noticePage))} }

// render returns the page's bytes.
func (p pages) render(n notice) []byte {
	var body bytes.Buffer
	if err := p.notice.Execute(&body, n); err != nil {
		return []byte(n.Title) // the template is ours and a buffer takes everything
	}
	return body.Bytes()
}

// send answers with a page.
func (p pages) send(w http.ResponseWriter, r *http.Request, n notice) {
	body := p.render(n)
	h := w.Header()
	harden(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	if n.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "2")
	}
	w.WriteHeader(n.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a browser that has gone needs no page
	}
}

// harden sets what every reply on the host of a UI carries: nobody frames it,
// no other site loads it, nothing is told to where a link leads.
func harden(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}
