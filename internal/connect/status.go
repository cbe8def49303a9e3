package connect

import (
	"net/http"
	"strconv"
	"strings"
)

// Code is a gRPC status code.
type Code int

// The codes that are used here. A stock client of Spark 3.5 repeats a call
// after Unavailable, for ten minutes and more, and after no other: it is given
// only where repeating helps.
const (
	OK                 Code = 0
	Canceled           Code = 1
	Unknown            Code = 2
	InvalidArgument    Code = 3
	PermissionDenied   Code = 7
	ResourceExhausted  Code = 8
	FailedPrecondition Code = 9
	Unimplemented      Code = 12
	Internal           Code = 13
	Unavailable        Code = 14
)

// String is the code as metrics and logs show it.
func (c Code) String() string { return strconv.Itoa(int(c)) }

// The names of gRPC's trailers, as net/http spells them.
const (
	headerStatus  = "Grpc-Status"
	headerMessage = "Grpc-Message"
)

// maxText bounds a status text, in bytes: it travels in a header, and clients
// bound those.
const maxText = 2048

// fail answers a call to which nothing was answered yet.
func fail(w http.ResponseWriter, code Code, text string) {
	h := w.Header()
	h["Date"] = nil           // net/http adds none then
	h["Content-Length"] = nil // likewise
	h.Set("Content-Type", "application/grpc")
	h.Set(headerStatus, code.String())
	h.Set(headerMessage, percent(text))
	w.WriteHeader(http.StatusOK)
}

// failLate ends a call whose head was answered already.
func failLate(w http.ResponseWriter, code Code, text string) {
	h := w.Header()
	h.Set(http.TrailerPrefix+headerStatus, code.String())
	h.Set(http.TrailerPrefix+headerMessage, percent(text))
}

// percent encodes a status text as gRPC wants it, and shortens it.
func percent(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + " …"
	}
	plain := true
	for i := 0; i < len(text); i++ {
		plain = plain && text[i] >= ' ' && text[i] <= '~' && text[i] != '%'
	}
	if plain {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if c := text[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			const hex = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// codeOf reads a status header; Unknown when it says nothing sensible.
func codeOf(text string) Code {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 16 {
		return Unknown
	}
	return Code(n)
}
