package glueapi

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/fault"
	"glaux/internal/resource"
)

// connectionHandlers are the operations on connections. The document of a
// connection is the input that made it.
func (a *API) connectionHandlers() map[string]awsapi.Handler {
	return map[string]awsapi.Handler{
		"CreateConnection": awsapi.Handle(a.CreateConnection),
		"GetConnection":    awsapi.Handle(a.GetConnection),
		"GetConnections":   awsapi.Handle(a.GetConnections),
		"UpdateConnection": awsapi.Handle(a.UpdateConnection),
		"DeleteConnection": awsapi.Handle(a.DeleteConnection),
	}
}

// CreateConnection keeps a connection. Nothing is connected to.
func (a *API) CreateConnection(ctx context.Context, who access.Caller, in *glue.CreateConnectionInput) (*glue.CreateConnectionOutput, error) {
	if err := ownCatalog(who, in.CatalogId); err != nil {
		return nil, err
	}
	doc, err := connectionDoc(in.ConnectionInput)
	if err != nil {
		return nil, err
	}
	_, err = a.Resources.Create(ctx, who, "glue:CreateConnection", resource.Connection, *in.ConnectionInput.Name, doc, fromTags(in.Tags))
	if err != nil {
		return nil, err
	}
	return &glue.CreateConnectionOutput{CreateConnectionStatus: types.ConnectionStatusReady}, nil
}

// GetConnection returns a connection, with its passwords unless they are to be
// hidden.
func (a *API) GetConnection(ctx context.Context, who access.Caller, in *glue.GetConnectionInput) (*glue.GetConnectionOutput, error) {
	if err := ownCatalog(who, in.CatalogId); err != nil {
		return nil, err
	}
	i, err := a.Resources.Get(ctx, who, "glue:GetConnection", resource.Connection, *in.Name)
	if err != nil {
		return nil, err
	}
	c, err := toConnection(i, in.HidePassword)
	if err != nil {
		return nil, err
	}
	switch in.ApplyOverrideForComputeEnvironment {
	case types.ComputeEnvironmentSpark:
		maps.Copy(c.ConnectionProperties, c.SparkProperties)
	case types.ComputeEnvironmentAthena:
		maps.Copy(c.ConnectionProperties, c.AthenaProperties)
	case types.ComputeEnvironmentPython:
		maps.Copy(c.ConnectionProperties, c.PythonProperties)
	}
	return &glue.GetConnectionOutput{Connection: c}, nil
}

// GetConnections returns a page of the connections that the filter wants, in
// the order of their names.
func (a *API) GetConnections(ctx context.Context, who access.Caller, in *glue.GetConnectionsInput) (*glue.GetConnectionsOutput, error) {
	if err := ownCatalog(who, in.CatalogId); err != nil {
		return nil, err
	}
	filter := types.GetConnectionsFilter{}
	if in.Filter != nil {
		filter = *in.Filter
	}
	scope := append([]string{string(filter.ConnectionType), fmt.Sprint(aws.ToInt32(filter.ConnectionSchemaVersion))}, filter.MatchCriteria...)
	list := a.listing(who, "GetConnections", in.NextToken, scope...)
	after, err := list.place()
	if err != nil {
		return nil, err
	}
	page, more, err := a.Resources.List(ctx, who, "glue:GetConnections", resource.Connection, after, limit(in.MaxResults), func(i resource.Item) (bool, error) {
		c, err := toConnection(i, in.HidePassword)
		return err == nil && wanted(filter, c), err
	})
	if err != nil {
		return nil, err
	}
	out := &glue.GetConnectionsOutput{ConnectionList: make([]types.Connection, 0, len(page))}
	for _, i := range page {
		c, err := toConnection(i, in.HidePassword)
		if err != nil {
			return nil, err
		}
		out.ConnectionList = append(out.ConnectionList, *c)
		out.NextToken = list.at(i.Name, more)
	}
	return out, nil
}

// UpdateConnection replaces all of a connection but its name.
func (a *API) UpdateConnection(ctx context.Context, who access.Caller, in *glue.UpdateConnectionInput) (*glue.UpdateConnectionOutput, error) {
	if err := ownCatalog(who, in.CatalogId); err != nil {
		return nil, err
	}
	if name := *in.ConnectionInput.Name; name != *in.Name {
		return nil, fault.Invalidf("The name of connection %s cannot be changed to %s.", *in.Name, name)
	}
	doc, err := connectionDoc(in.ConnectionInput)
	if err != nil {
		return nil, err
	}
	return &glue.UpdateConnectionOutput{}, a.Resources.Update(ctx, who, "glue:UpdateConnection", resource.Connection, *in.Name, doc)
}

// DeleteConnection removes a connection.
func (a *API) DeleteConnection(ctx context.Context, who access.Caller, in *glue.DeleteConnectionInput) (*glue.DeleteConnectionOutput, error) {
	if err := ownCatalog(who, in.CatalogId); err != nil {
		return nil, err
	}
	return &glue.DeleteConnectionOutput{}, a.Resources.Delete(ctx, who, "glue:DeleteConnection", resource.Connection, *in.ConnectionName)
}

// ownCatalog refuses the Data Catalog of another account.
func ownCatalog(who access.Caller, id *string) error {
	if id != nil && *id != who.Account {
		return fault.New(fault.NotFound, "Catalog %s not found.", *id).About(*id)
	}
	return nil
}

// needs are the properties without which a connection of a type leads nowhere:
// all of any one of the lists.
var needs = map[types.ConnectionType][][]types.ConnectionPropertyKey{
	types.ConnectionTypeJdbc: {
		{types.ConnectionPropertyKeyJdbcConnectionUrl},
		{types.ConnectionPropertyKeyHost, types.ConnectionPropertyKeyPort, types.ConnectionPropertyKeyJdbcEngine},
	},
	types.ConnectionTypeKafka:   {{types.ConnectionPropertyKeyKafkaBootstrapServers}},
	types.ConnectionTypeMongodb: {{types.ConnectionPropertyKeyConnectionUrl}},
}

// connectionDoc is the document of a connection, checked.
func connectionDoc(in *types.ConnectionInput) ([]byte, error) {
	if in.ConnectionType == types.ConnectionTypeSftp {
		return nil, fault.Invalidf("Connections of type %s are not supported.", in.ConnectionType)
	}
	if sets := needs[in.ConnectionType]; len(sets) > 0 {
		var all []string
		for _, set := range sets {
			if has(in.ConnectionProperties, set) {
				all = nil
				break
			}
			all = append(all, list(set))
		}
		if len(all) > 0 {
			return nil, fault.Invalidf("A connection of type %s needs the property %s.", in.ConnectionType, strings.Join(all, ", or "))
		}
	}
	doc, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("cannot encode a connection: %w", err)
	}
	return doc, nil
}

func has(properties map[string]string, set []types.ConnectionPropertyKey) bool {
	return !slices.ContainsFunc(set, func(k types.ConnectionPropertyKey) bool { return properties[string(k)] == "" })
}

func list(set []types.ConnectionPropertyKey) string {
	words := make([]string, len(set))
	for i, k := range set {
		words[i] = string(k)
	}
	return strings.Join(words, " and ")
}

// toConnection is a connection as Glue shows it. Credentials that were given
// apart from the properties are never shown.
func toConnection(i resource.Item, hide bool) (*types.Connection, error) {
	var in types.ConnectionInput
	if err := json.Unmarshal(i.Doc, &in); err != nil {
		return nil, fmt.Errorf("cannot decode connection %q: %w", i.Name, err)
	}
	c := &types.Connection{
		Name: &i.Name, Description: in.Description, ConnectionType: in.ConnectionType, MatchCriteria: in.MatchCriteria,
		ConnectionProperties: in.ConnectionProperties, SparkProperties: in.SparkProperties,
		AthenaProperties: in.AthenaProperties, PythonProperties: in.PythonProperties,
		PhysicalConnectionRequirements: in.PhysicalConnectionRequirements,
		CreationTime:                   stamp(i.Created), LastUpdatedTime: stamp(i.Changed), LastUpdatedBy: &i.ChangedBy,
		Status: types.ConnectionStatusReady, ConnectionSchemaVersion: aws.Int32(1),
		CompatibleComputeEnvironments: in.ValidateForComputeEnvironments,
	}
	if in.AuthenticationConfiguration != nil || in.SparkProperties != nil || in.AthenaProperties != nil || in.PythonProperties != nil || in.ValidateForComputeEnvironments != nil {
		c.ConnectionSchemaVersion = aws.Int32(2)
	}
	if c.ConnectionProperties == nil {
		c.ConnectionProperties = map[string]string{}
	}
	if hide {
		for _, m := range []map[string]string{c.ConnectionProperties, c.SparkProperties, c.AthenaProperties, c.PythonProperties} {
			maps.DeleteFunc(m, func(k, _ string) bool { return strings.HasSuffix(strings.ToUpper(k), "PASSWORD") })
		}
	}
	if auth := in.AuthenticationConfiguration; auth != nil {
		c.AuthenticationConfiguration = &types.AuthenticationConfiguration{AuthenticationType: auth.AuthenticationType, KmsKeyArn: auth.KmsKeyArn, SecretArn: auth.SecretArn}
		if o := auth.OAuth2Properties; o != nil {
			c.AuthenticationConfiguration.OAuth2Properties = &types.OAuth2Properties{
				OAuth2ClientApplication: o.OAuth2ClientApplication, OAuth2GrantType: o.OAuth2GrantType,
				TokenUrl: o.TokenUrl, TokenUrlParametersMap: o.TokenUrlParametersMap,
			}
		}
	}
	return c, nil
}

// wanted says whether a filter lets a connection through: it has all of the
// criteria, the type and the version of the schema that are named.
func wanted(f types.GetConnectionsFilter, c *types.Connection) bool {
	return (f.ConnectionType == "" || f.ConnectionType == c.ConnectionType) &&
		(f.ConnectionSchemaVersion == nil || *f.ConnectionSchemaVersion == *c.ConnectionSchemaVersion) &&
		!slices.ContainsFunc(f.MatchCriteria, func(m string) bool { return !slices.Contains(c.MatchCriteria, m) })
}
