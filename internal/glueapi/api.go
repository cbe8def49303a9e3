// Package glueapi holds the operations of AWS Glue: each takes the SDK's
// input, calls the domain, and makes the SDK's output. It knows neither HTTP
// nor JSON; constraints of the model are checked before an operation is called,
// so required members are never nil here.
package glueapi

import (
	"maps"

	"glaux/internal/awsapi"
	"glaux/internal/ident"
	"glaux/internal/resource"
	"glaux/internal/session"
	"glaux/internal/statement"
)

// API is what the operations stand on. All fields are required.
type API struct {
	Home       ident.Home
	Pages      *ident.Pages // pagination tokens of every list
	Sessions   *session.Manager
	Statements *statement.Manager
	Resources  *resource.Manager
	Endpoints  Endpoints
	Dashboards Dashboards
	SystemLogs SystemLogs
}

// Operations returns the operation table of the service: every operation of
// the model, with a handler where one is built.
func (a *API) Operations() ([]awsapi.Operation, error) {
	all := make(map[string]awsapi.Handler)
	for _, part := range []map[string]awsapi.Handler{
		a.sessionHandlers(),
		a.statementHandlers(),
		a.endpointHandlers(),
		a.tagHandlers(),
		a.connectionHandlers(),
		a.securityHandlers(),
		a.profileHandlers(),
	} {
		maps.Copy(all, part)
	}
	return awsapi.Table(awsapi.Glue, all)
}
