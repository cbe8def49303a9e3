package compat

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
)

// TestGoSDKResources keeps what Glue sessions refer to through the SDK for Go.
func TestGoSDKResources(t *testing.T) {
	c := glue.NewFromConfig(mustServe(t))
	ctx, name := t.Context(), aws.String("go")
	connection := &types.ConnectionInput{
		Name: name, ConnectionType: types.ConnectionTypeKafka, ConnectionProperties: map[string]string{"KAFKA_BOOTSTRAP_SERVERS": "b:9092"},
	}
	made := must[*glue.CreateConnectionOutput](t)(c.CreateConnection(ctx, &glue.CreateConnectionInput{ConnectionInput: connection}))
	if made.CreateConnectionStatus != types.ConnectionStatusReady {
		t.Errorf("made as %+v", made)
	}
	connection.Description = aws.String("new")
	must[*glue.UpdateConnectionOutput](t)(c.UpdateConnection(ctx, &glue.UpdateConnectionInput{Name: name, ConnectionInput: connection}))
	got := must[*glue.GetConnectionOutput](t)(c.GetConnection(ctx, &glue.GetConnectionInput{Name: name})).Connection
	if aws.ToString(got.Description) != "new" || got.ConnectionProperties["KAFKA_BOOTSTRAP_SERVERS"] != "b:9092" {
		t.Errorf("got %+v", got)
	}
	if all := must[*glue.GetConnectionsOutput](t)(c.GetConnections(ctx, &glue.GetConnectionsInput{})).ConnectionList; len(all) != 1 {
		t.Errorf("listed %+v", all)
	}
	must[*glue.DeleteConnectionOutput](t)(c.DeleteConnection(ctx, &glue.DeleteConnectionInput{ConnectionName: name}))
	_, err := c.GetConnection(ctx, &glue.GetConnectionInput{Name: name})
	wantCode(t, err, "EntityNotFoundException")

	encryption := &types.EncryptionConfiguration{S3Encryption: []types.S3Encryption{{S3EncryptionMode: types.S3EncryptionModeSses3}}}
	must[*glue.CreateSecurityConfigurationOutput](t)(c.CreateSecurityConfiguration(ctx, &glue.CreateSecurityConfigurationInput{Name: name, EncryptionConfiguration: encryption}))
	security := must[*glue.GetSecurityConfigurationOutput](t)(c.GetSecurityConfiguration(ctx, &glue.GetSecurityConfigurationInput{Name: name})).SecurityConfiguration
	if s3 := security.EncryptionConfiguration.S3Encryption; len(s3) != 1 || s3[0].S3EncryptionMode != types.S3EncryptionModeSses3 {
		t.Errorf("got %+v", security)
	}
	if all := must[*glue.GetSecurityConfigurationsOutput](t)(c.GetSecurityConfigurations(ctx, &glue.GetSecurityConfigurationsInput{})).SecurityConfigurations; len(all) != 1 {
		t.Errorf("listed %+v", all)
	}
	must[*glue.DeleteSecurityConfigurationOutput](t)(c.DeleteSecurityConfiguration(ctx, &glue.DeleteSecurityConfigurationInput{Name: name}))

	limits := &types.ProfileConfiguration{SessionConfiguration: map[string]types.ConfigurationObject{"timeout": {MaxValue: aws.String("9")}}}
	must[*glue.CreateUsageProfileOutput](t)(c.CreateUsageProfile(ctx, &glue.CreateUsageProfileInput{Name: name, Configuration: limits}))
	must[*glue.UpdateUsageProfileOutput](t)(c.UpdateUsageProfile(ctx, &glue.UpdateUsageProfileInput{Name: name, Configuration: limits, Description: aws.String("new")}))
	profile := must[*glue.GetUsageProfileOutput](t)(c.GetUsageProfile(ctx, &glue.GetUsageProfileInput{Name: name}))
	if aws.ToString(profile.Description) != "new" || aws.ToString(profile.Configuration.SessionConfiguration["timeout"].MaxValue) != "9" {
		t.Errorf("got %+v", profile)
	}
	if all := must[*glue.ListUsageProfilesOutput](t)(c.ListUsageProfiles(ctx, &glue.ListUsageProfilesInput{})).Profiles; len(all) != 1 {
		t.Errorf("listed %+v", all)
	}
	must[*glue.DeleteUsageProfileOutput](t)(c.DeleteUsageProfile(ctx, &glue.DeleteUsageProfileInput{Name: name}))
}
