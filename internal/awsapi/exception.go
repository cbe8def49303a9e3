package awsapi

import (
	"errors"
	"net/http"
	"strings"

	"glaux/internal/fault"
)

// exception is a failure as the wire shows it.
type exception struct {
	status   int
	name     string // __type, or Code in XML
	message  string
	code     string // AthenaErrorCode and ErrorCode; Athena only
	resource string // ResourceName; Athena's ResourceNotFoundException only
	reason   string // Reason; Athena's TooManyRequestsException only
	edge     bool   // made before the service, or by one that writes the same: its text goes under "message"
	cause    error  // logged, never shown
}

// serializationError is a body that cannot be read. The message may be empty:
// AWS gives none for text that is not JSON at all.
type serializationError struct{ message string }

// Error returns the text AWS gives.
func (e *serializationError) Error() string { return e.message }

// violationError is an input that breaks the model's constraints.
type violationError struct{ message string }

// Error returns the "N validation errors detected: …" text.
func (e *violationError) Error() string { return e.message }

// exceptionOf turns any error into the exception of the service. It is the
// only place where the two vocabularies meet.
func exceptionOf(service, requestID string, err error) exception {
	x := exceptionIn(service, requestID, err)
	x.edge = x.edge || service == Logs // which has no other spelling
	return x
}

// exceptionIn is exceptionOf but for how the service spells its texts' member.
func exceptionIn(service, requestID string, err error) exception {
	if e, ok := errors.AsType[*serializationError](err); ok {
		x := exception{status: http.StatusBadRequest, name: "SerializationException", message: e.message}
		if speaksQuery(service) {
			x.name = "MalformedInput"
		}
		return x
	}
	if e, ok := errors.AsType[*queryError](err); ok {
		return exception{status: http.StatusBadRequest, name: e.code, message: e.message}
	}
	if e, ok := errors.AsType[*violationError](err); ok {
		x := exception{status: http.StatusBadRequest, message: e.message}
		switch service {
		case Athena:
			x.name, x.code = "InvalidRequestException", fault.CodeInvalidInput
		case STS, IAM:
			x.name = "ValidationError"
		case Logs:
			x.name = "InvalidParameterException"
		default:
			x.name = "ValidationException"
		}
		return x
	}
	if e, ok := errors.AsType[*oversizeError](err); ok {
		return exception{status: http.StatusRequestEntityTooLarge, name: "RequestEntityTooLargeException", message: e.Error()}
	}
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind == fault.Internal {
		return internal(service, requestID, err)
	}
	x := exception{status: http.StatusBadRequest, message: f.Message, cause: errors.Unwrap(f)}
	x.name, x.status = named(service, f.Kind)
	switch {
	case f.Kind == fault.Unauthorized:
		x.edge = true
		x.name, x.status = signatureException(service, f.Code)
	case namesException(f.Code):
		x.name = f.Code
	case service == Athena && x.name == "InvalidRequestException":
		x.code = f.Code
	case service == Athena && x.name == "TooManyRequestsException":
		x.reason = f.Code
	case speaksQuery(service) && f.Code != "" && f.Kind == fault.Invalid:
		x.name = f.Code
	}
	if service == Athena && x.name == "ResourceNotFoundException" {
		x.resource = f.Resource
	}
	return x
}

// namesException reports whether a fault's code is itself the name of a
// modelled exception, such as MetadataException or IllegalSessionStateException.
func namesException(code string) bool {
	return strings.HasSuffix(code, "Exception") || strings.HasSuffix(code, "Fault")
}

// internal is the answer to everything unexpected: the caller learns the
// request's id and nothing else.
func internal(service, requestID string, cause error) exception {
	name, status := named(service, fault.Internal)
	return exception{
		status:  status,
		name:    name,
		message: "Internal error, request " + requestID,
		cause:   cause,
	}
}

// named gives the exception and HTTP status a kind of fault has in a service.
func named(service string, k fault.Kind) (string, int) {
	switch k {
	case fault.Invalid:
		return pick(service, "InvalidRequestException", "InvalidInputException", "InvalidParameterException", "ValidationError"), http.StatusBadRequest
	case fault.NotFound:
		return pick(service, "ResourceNotFoundException", "EntityNotFoundException", "ResourceNotFoundException", "NoSuchEntity"), statusIn(service, http.StatusNotFound)
	case fault.Exists:
		return pick(service, "SessionAlreadyExistsException", "AlreadyExistsException", "ResourceAlreadyExistsException", "EntityAlreadyExists"), statusIn(service, http.StatusConflict)
	case fault.TooMany:
		return pick(service, "TooManyRequestsException", "ResourceNumberLimitExceededException", "LimitExceededException", "LimitExceeded"), statusIn(service, http.StatusConflict)
	case fault.Throttled:
		return pick(service, "ThrottlingException", "ThrottlingException", "ThrottlingException", "Throttling"), http.StatusBadRequest
	case fault.Denied:
		if speaksQuery(service) {
			return "AccessDenied", http.StatusForbidden
		}
		return "AccessDeniedException", http.StatusBadRequest
	case fault.Unauthorized:
		return signatureException(service, "")
	case fault.Unsupported:
		return "NotImplementedException", http.StatusNotImplemented
	case fault.Internal:
		if service == IAM {
			return "ServiceFailure", http.StatusInternalServerError
		}
	}
	return pick(service, "InternalServerException", "InternalServiceException", "ServiceUnavailableException", "InternalFailure"), http.StatusInternalServerError
}

// statusIn is the status that IAM gives a failure, for which the others have
// 400 whatever it is.
func statusIn(service string, iam int) int {
	if service == IAM {
		return iam
	}
	return http.StatusBadRequest
}

// pick chooses the name by service.
func pick(service, athena, glue, logs, sts string) string {
	switch service {
	case Glue:
		return glue
	case Logs:
		return logs
	case STS, IAM:
		return sts
	}
	return athena
}

// signatureException gives the name and status of a failed authentication.
// The query protocol has its own names and answers most of them with 403.
func signatureException(service, name string) (string, int) {
	if name == "" {
		name = "InvalidSignatureException"
	}
	if !speaksQuery(service) {
		return name, http.StatusBadRequest
	}
	switch name {
	case "MissingAuthenticationTokenException":
		return "MissingAuthenticationToken", http.StatusForbidden
	case "IncompleteSignatureException":
		return "IncompleteSignature", http.StatusBadRequest
	case "InvalidSignatureException":
		return "SignatureDoesNotMatch", http.StatusForbidden
	case "UnrecognizedClientException":
		return "InvalidClientTokenId", http.StatusForbidden
	case "ExpiredTokenException":
		return "ExpiredToken", http.StatusForbidden
	}
	return name, http.StatusForbidden
}
