package health

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"

	"github.com/etcdops/etcdops/ops"
)

// failure turns the error of a request into a fact.
func (c *collector) failure(ctx context.Context, url string, err error) *Failure {
	if rpctypes.ErrorDesc(err) == rpctypes.ErrorDesc(rpctypes.ErrGRPCNotSupportedForLearner) {
		return &Failure{Kind: KindUnsupported, Message: "a learner does not answer this"}
	}
	err = c.cluster.Explain(ctx, "ask", url, err)
	f := &Failure{Kind: KindError, Code: ops.CodeOf(err), Message: err.Error()}
	if hint, ok := errors.AsType[*ops.HintError](err); ok {
		f.Hint = hint.Hint
		if hint.Err != nil {
			f.Message = hint.Err.Error()
		}
		if said, ok := status.FromError(hint.Err); ok && f.Code == "" {
			f.Message = said.Message() // without gRPC's own words around it
		}
	}
	f.Kind = kindOf(f.Code)
	if f.Code == ops.CodeSlow {
		f.Message = "connected, then no answer for " + c.opts.Bound.String()
		f.Hint = "on its host: look at CPU, disk and the log of etcd"
	}
	return f
}

// kindOf sorts the codes of a connection by what they say about the member.
func kindOf(code ops.Code) Kind {
	switch code { //nolint:exhaustive // all others are errors of no special kind
	case ops.CodeDNS:
		return KindDNS
	case ops.CodeRefused:
		return KindRefused
	case ops.CodeNoAnswer, ops.CodeNoRoute:
		return KindUnreachable
	case ops.CodeSilent, ops.CodeSlow:
		return KindHung
	case ops.CodeUnknownAuthority, ops.CodeWrongName, ops.CodeServerExpired, ops.CodeServerNotYet, ops.CodePlainServer,
		ops.CodeTLSServer, ops.CodeClientCertNeeded, ops.CodeClientCertRefused, ops.CodeClientCertExpired,
		ops.CodeKeyUsage, ops.CodeTLSOther, ops.CodeServerInvalid:
		return KindTLS
	case ops.CodeAuthFailed, ops.CodeUserNeeded, ops.CodeTokenInvalid, ops.CodeBadCredentials:
		return KindAuth
	case ops.CodePermissionDenied:
		return KindDenied
	case ops.CodeNoLeader:
		return KindNoLeader
	}
	return KindError
}
