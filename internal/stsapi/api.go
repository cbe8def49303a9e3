// Package stsapi holds the operations of AWS STS, who a key belongs to and
// temporary credentials, and of IAM what tells about roles. What they stand for lives in package access; the
// model's constraints are checked before an operation is called, so required
// members are never nil here.
package stsapi

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/fault"
)

// Authority knows keys and roles and makes credentials. *access.Authority is one.
type Authority interface {
	access.Decider
	// Issue makes temporary credentials for a caller.
	Issue(who access.Caller, ttl time.Duration) (access.Credentials, error)
	// AssumedRole returns the caller that a role becomes under a session
	// name, or a Denied fault that names who.
	AssumedRole(who access.Caller, roleARN, sessionName string) (access.Caller, error)
	// FindRole returns the role that a name stands for when who asks.
	FindRole(who access.Caller, name string) (access.RoleInfo, bool)
	// KeyAccount returns the account an access key id belongs to.
	KeyAccount(accessKeyID string) (string, bool)
}

// API is what the operations stand on. All fields are required.
type API struct {
	Authority Authority
}

// Operations returns the operation tables of STS and IAM: every operation of
// the models, with a handler where one is built.
func (a *API) Operations() ([]awsapi.QueryOperation, error) {
	rows, err := awsapi.QueryTable(awsapi.STS, map[string]awsapi.QueryHandler{
		"AssumeRole":        awsapi.HandleQuery(a.AssumeRole),
		"GetAccessKeyInfo":  awsapi.HandleQuery(a.GetAccessKeyInfo),
		"GetCallerIdentity": awsapi.HandleQuery(a.GetCallerIdentity),
		"GetSessionToken":   awsapi.HandleQuery(a.GetSessionToken),
	})
	if err != nil {
		return nil, err
	}
	roles, err := awsapi.QueryTable(awsapi.IAM, map[string]awsapi.QueryHandler{
		"GetRole": awsapi.HandleQuery(a.GetRole),
	})
	return append(rows, roles...), err
}

// How long credentials live, as AWS has it.
const (
	longestRoleLife = 12 * time.Hour // that AssumeRole gives
	roleLife        = time.Hour      // of an assumed role that asks for none
	chainedLife     = time.Hour      // at most, of a role that a role assumes
	sessionLife     = 12 * time.Hour // of GetSessionToken that asks for none
	rootSessionLife = time.Hour      // at most, of root's GetSessionToken
)

// CallerIdentity is the result of GetCallerIdentity.
type CallerIdentity struct {
	ARN     string `xml:"Arn"`
	UserID  string `xml:"UserId"`
	Account string
}

// GetCallerIdentity says who signed the request. It needs no permission.
func (a *API) GetCallerIdentity(ctx context.Context, who access.Caller, _ *sts.GetCallerIdentityInput) (*CallerIdentity, error) {
	if err := a.Authority.Decide(ctx, who, "sts:GetCallerIdentity", "*"); err != nil {
		return nil, err
	}
	return &CallerIdentity{ARN: who.ARN, UserID: who.UserID, Account: who.Account}, nil
}

// Credentials are temporary credentials on the wire.
type Credentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

func toCredentials(c access.Credentials) Credentials {
	return Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken,
		Expiration: c.Expires.UTC().Format(time.RFC3339),
	}
}

// issue makes credentials. Tokens are not padded: one that would be shorter
// than was asked for is refused.
func (a *API) issue(who access.Caller, life time.Duration, size *int32) (access.Credentials, error) {
	c, err := a.Authority.Issue(who, life)
	if err == nil && size != nil && int(*size) > len(c.SessionToken) {
		return access.Credentials{}, fault.New(fault.Unsupported, "MinimumSessionTokenSize beyond %d is not implemented", len(c.SessionToken))
	}
	return c, err
}

// AssumedRoleUser says what the caller has become.
type AssumedRoleUser struct {
	AssumedRoleID string `xml:"AssumedRoleId"`
	ARN           string `xml:"Arn"`
}

// AssumedRole is the result of AssumeRole.
type AssumedRole struct {
	AssumedRoleUser AssumedRoleUser
	Credentials     Credentials
	SourceIdentity  string `xml:",omitempty"`
}

// AssumeRole makes credentials of a role.
func (a *API) AssumeRole(ctx context.Context, who access.Caller, in *sts.AssumeRoleInput) (*AssumedRole, error) {
	role := aws.ToString(in.RoleArn)
	if !access.IsRoleARN(role) {
		return nil, fault.New(fault.Invalid, "Request ARN is invalid")
	}
	if err := checkTags(in); err != nil {
		return nil, err
	}
	if err := checkPolicy(in); err != nil {
		return nil, err
	}
	if len(in.ProvidedContexts) > 0 {
		return nil, fault.New(fault.Unsupported, "ProvidedContexts of sts:AssumeRole is not implemented")
	}
	if err := a.Authority.Decide(ctx, who, "sts:AssumeRole", role); err != nil {
		return nil, err
	}
	if in.SerialNumber != nil || in.TokenCode != nil {
		return nil, fault.New(fault.Denied, "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.")
	}
	life := roleLife
	if in.DurationSeconds != nil {
		life = time.Duration(*in.DurationSeconds) * time.Second
	}
	if who.Role != "" && life > chainedLife {
		return nil, fault.New(fault.Invalid, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	}
	become, err := a.Authority.AssumedRole(who, role, aws.ToString(in.RoleSessionName))
	if err != nil {
		return nil, err
	}
	c, err := a.issue(become, life, in.MinimumSessionTokenSize)
	if err != nil {
		return nil, err
	}
	return &AssumedRole{
		AssumedRoleUser: AssumedRoleUser{AssumedRoleID: become.UserID, ARN: become.ARN},
		Credentials:     toCredentials(c),
		SourceIdentity:  aws.ToString(in.SourceIdentity),
	}, nil
}

// checkTags refuses session tags that AWS refuses.
func checkTags(in *sts.AssumeRoleInput) error {
	seen := make(map[string]bool, len(in.Tags))
	for _, t := range in.Tags {
		key := strings.ToLower(aws.ToString(t.Key))
		if strings.HasPrefix(key, "aws:") {
			return fault.New(fault.Invalid, "Tag keys starting with 'aws:' are reserved for internal use")
		}
		if seen[key] {
			return fault.New(fault.Invalid, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[key] = true
	}
	for _, key := range in.TransitiveTagKeys {
		if !seen[strings.ToLower(key)] {
			return fault.New(fault.Invalid, "The specified transitive tag key must be included in the requested tags.")
		}
	}
	return nil
}

// checkPolicy refuses session policies: they would narrow what the role may
// do, and credentials that may do more than was asked for must not be made.
func checkPolicy(in *sts.AssumeRoleInput) error {
	if in.Policy != nil && !json.Valid([]byte(*in.Policy)) {
		return &fault.Error{Kind: fault.Invalid, Code: "MalformedPolicyDocument", Message: "This policy contains invalid Json"}
	}
	if in.Policy != nil || len(in.PolicyArns) > 0 {
		return fault.New(fault.Unsupported, "session policies (Policy, PolicyArns) of sts:AssumeRole are not implemented")
	}
	return nil
}

// SessionToken is the result of GetSessionToken.
type SessionToken struct {
	Credentials Credentials
}

// GetSessionToken makes temporary credentials of the caller itself, who must
// hold a long-lived key. Root's live an hour at most, whatever is asked for.
func (a *API) GetSessionToken(ctx context.Context, who access.Caller, in *sts.GetSessionTokenInput) (*SessionToken, error) {
	if err := a.Authority.Decide(ctx, who, "sts:GetSessionToken", "*"); err != nil {
		return nil, err
	}
	if access.Temporary(who.AccessKeyID) {
		return nil, fault.New(fault.Denied, "Cannot call GetSessionToken with session credentials")
	}
	if in.SerialNumber != nil || in.TokenCode != nil {
		return nil, fault.New(fault.Denied, "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.")
	}
	life := sessionLife
	if in.DurationSeconds != nil {
		life = time.Duration(*in.DurationSeconds) * time.Second
	}
	if who.Root() {
		life = min(life, rootSessionLife)
	}
	c, err := a.issue(who, life, in.MinimumSessionTokenSize)
	if err != nil {
		return nil, err
	}
	return &SessionToken{Credentials: toCredentials(c)}, nil
}

// AccessKeyInfo is the result of GetAccessKeyInfo.
type AccessKeyInfo struct {
	Account string
}

// GetAccessKeyInfo says which account an access key id belongs to.
func (a *API) GetAccessKeyInfo(ctx context.Context, who access.Caller, in *sts.GetAccessKeyInfoInput) (*AccessKeyInfo, error) {
	if err := a.Authority.Decide(ctx, who, "sts:GetAccessKeyInfo", "*"); err != nil {
		return nil, err
	}
	account, ok := a.Authority.KeyAccount(aws.ToString(in.AccessKeyId))
	if !ok {
		return nil, fault.New(fault.Invalid, "The access key ID %s belongs to no account of this server", aws.ToString(in.AccessKeyId))
	}
	return &AccessKeyInfo{Account: account}, nil
}
