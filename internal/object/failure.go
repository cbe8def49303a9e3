package object

import (
	"encoding/xml"
	"net/http"
	"strconv"

	"glaux/internal/fault"
	"glaux/internal/sigv4"
)

// failure is a refusal in S3's own vocabulary.
type failure struct {
	status  int
	code    string
	message string
	cause   error // for the log; may be nil
}

// Error returns code and message.
func (f *failure) Error() string { return f.code + ": " + f.message }

// fail makes a failure; the status follows from the code.
func fail(code, message string) *failure {
	return &failure{status: statusOf(code), code: code, message: message}
}

// because returns f with a cause for the log.
func (f *failure) because(err error) *failure {
	f.cause = err
	return f
}

// statusOf returns S3's HTTP status for a code.
func statusOf(code string) int {
	switch code {
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed":
		return http.StatusForbidden
	case "NoSuchBucket", "NoSuchKey", "NoSuchUpload":
		return http.StatusNotFound
	case "MethodNotAllowed":
		return http.StatusMethodNotAllowed
	case "MissingContentLength":
		return http.StatusLengthRequired
	case "NotImplemented":
		return http.StatusNotImplemented
	case "InternalError":
		return http.StatusInternalServerError
	case "ServiceUnavailable":
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// refused turns a refusal of sigv4 or access into S3's code. presigned says
// where the signature was, which decides the code of a malformed one.
func refused(err error, presigned bool) *failure {
	text := err.Error() // a fault's message is meant for the caller
	malformed := "AuthorizationHeaderMalformed"
	if presigned {
		malformed = "AuthorizationQueryParametersError"
	}
	switch why := sigv4.ReasonOf(err); why {
	case sigv4.NoSignature:
		return fail("AccessDenied", "Access Denied").because(err)
	case sigv4.Malformed, sigv4.WrongScope:
		return fail(malformed, text)
	case sigv4.UnknownKey:
		return fail("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	case sigv4.BadToken:
		return fail("InvalidToken", "The provided token is malformed or otherwise invalid.")
	case sigv4.TokenExpired:
		return fail("ExpiredToken", "The provided token has expired.")
	case sigv4.Mismatch, sigv4.ChunkSignature:
		return fail("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	case sigv4.Skewed:
		return fail("RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
	case sigv4.NotYetValid:
		return fail("AccessDenied", "Request is not yet valid")
	case sigv4.RequestExpired:
		return fail("AccessDenied", "Request has expired")
	case sigv4.UnsignedHeader:
		return fail("AccessDenied", text)
	case sigv4.NoPayloadHash:
		return fail("InvalidRequest", text)
	case sigv4.PayloadHash:
		return fail("XAmzContentSHA256Mismatch", text)
	case sigv4.BadFraming:
		return fail("IncompleteBody", text)
	case sigv4.BadTrailer:
		return fail("MalformedTrailerError", text)
	case sigv4.BadChecksum:
		return fail("BadDigest", text)
	case sigv4.NotSupported:
		return fail("NotImplemented", text)
	case sigv4.Unknown:
	}
	if fault.Of(err) == fault.Denied {
		return fail("AccessDenied", text)
	}
	return fail("InternalError", "We encountered an internal error. Please try again.").because(err)
}

// errorBody is S3's error document.
type errorBody struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	Resource  string `xml:",omitempty"`
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
}

// write answers with the failure.
func (f *failure) write(w http.ResponseWriter, r *http.Request, requestID string) {
	if f.status == http.StatusNoContent { // a failure of the upstream that is none in S3
		w.WriteHeader(f.status)
		return
	}
	body, err := xml.Marshal(errorBody{Code: f.code, Message: f.message, Resource: r.URL.Path, RequestID: requestID, HostID: requestID})
	if err != nil {
		body = nil // cannot be: every member is text
	}
	body = append([]byte(xml.Header), body...)
	h := w.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone if this fails
	}
}
