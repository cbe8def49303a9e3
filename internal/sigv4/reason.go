package sigv4

import (
	"errors"
	"fmt"

	"glaux/internal/fault"
)

// Reason says why a request was refused. It is the hidden cause of every fault
// that this package and package access make, so that each protocol can answer
// with its own code: ReasonOf finds it.
type Reason uint8

// The reasons. The comment names the code S3 answers with; other services
// take theirs from the fault's Code.
const (
	Unknown        Reason = iota // not a refusal of this package
	NoSignature                  // AccessDenied: the request is not signed at all
	Malformed                    // AuthorizationHeaderMalformed, or AuthorizationQueryParametersError when presigned
	UnknownKey                   // InvalidAccessKeyId
	BadToken                     // InvalidToken: no token for this key, or not one of ours
	TokenExpired                 // ExpiredToken
	Mismatch                     // SignatureDoesNotMatch
	Skewed                       // RequestTimeTooSkewed
	NotYetValid                  // AccessDenied, "Request is not yet valid"
	RequestExpired               // AccessDenied, "Request has expired"
	WrongScope                   // AuthorizationHeaderMalformed: signed for another region or service
	UnsignedHeader               // AccessDenied: an x-amz- header or Host is not covered by the signature
	NoPayloadHash                // InvalidRequest: x-amz-content-sha256 is missing or malformed
	PayloadHash                  // XAmzContentSHA256Mismatch: the body is not the one that was signed
	ChunkSignature               // SignatureDoesNotMatch: a chunk or the trailer was altered
	BadFraming                   // IncompleteBody: the body is not well-formed aws-chunked, or has another length
	BadTrailer                   // MalformedTrailerError
	BadChecksum                  // BadDigest: a checksum trailer does not fit the body
	NotSupported                 // NotImplemented: a payload form this server does not have
)

// Error names the reason for logs.
func (r Reason) Error() string {
	names := [...]string{
		Unknown:        "unknown",
		NoSignature:    "not signed",
		Malformed:      "malformed",
		UnknownKey:     "unknown access key",
		BadToken:       "session token is not ours or not of this key",
		TokenExpired:   "session token expired",
		Mismatch:       "signature differs",
		Skewed:         "clocks differ too much",
		NotYetValid:    "presigned for later",
		RequestExpired: "presigned request expired",
		WrongScope:     "signed for another region, service or day",
		UnsignedHeader: "a header is not signed",
		NoPayloadHash:  "no payload hash",
		PayloadHash:    "payload hash differs",
		ChunkSignature: "a chunk's signature differs",
		BadFraming:     "chunks are malformed",
		BadTrailer:     "trailers are malformed",
		BadChecksum:    "checksum differs",
		NotSupported:   "payload form is not supported",
	}
	if int(r) >= len(names) {
		r = Unknown
	}
	return "request refused: " + names[r]
}

// ReasonOf returns why err refused a request, or Unknown.
func ReasonOf(err error) Reason {
	r, _ := errors.AsType[Reason](err)
	return r
}

// Names of the exceptions a failed authentication has; the Code of the fault.
const (
	CodeMissing    = "MissingAuthenticationTokenException"
	CodeIncomplete = "IncompleteSignatureException"
	CodeInvalid    = "InvalidSignatureException"
	CodeUnknown    = "UnrecognizedClientException"
	CodeExpired    = "ExpiredTokenException"
)

// MismatchText is AWS's text for a signature that differs.
const MismatchText = "The request signature we calculated does not match the signature you provided. " +
	"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

// Refuse makes the fault of kind Unauthorized with the exception's name, a
// text for the caller and the reason.
func Refuse(code string, why Reason, text string) error {
	return (&fault.Error{Kind: fault.Unauthorized, Code: code, Message: text}).Because(why)
}

func incomplete(format string, args ...any) error {
	return Refuse(CodeIncomplete, Malformed, fmt.Sprintf(format, args...))
}

func invalid(why Reason, format string, args ...any) error {
	return Refuse(CodeInvalid, why, fmt.Sprintf(format, args...))
}
