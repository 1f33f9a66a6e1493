package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Explain turns the error of a request into a *HintError: op is the verb ("read status of"), endpoint the member that
// was asked, "" when any of Config's endpoints may have answered. Errors that already are one come back as they are.
// What went wrong below the request (a connection that broke, a certificate that expired meanwhile) is told as such.
// ctx is the request's own: its end explains a request that was given up.
func (c *Cluster) Explain(ctx context.Context, op, endpoint string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*HintError](err); ok {
		return err
	}
	if failure := c.connectionFailure(ctx, endpoint, err); failure != nil {
		return failure
	}
	if endpoint == "" {
		endpoint = strings.Join(c.cfg.Endpoints, ",")
	}
	return c.namedByCertificate(explainRPC(op, endpoint, ctx, c.cfg.CommandTimeout, err))
}

// namedByCertificate completes a denial where no user was given: etcd then takes the common name of the client's certificate
// for the user, and answers one that it does not know as it answers one that may not.
func (c *Cluster) namedByCertificate(err error) error {
	hint, ok := errors.AsType[*HintError](err)
	if !ok || hint.Code != CodePermissionDenied || c.cfg.Auth != (Auth{}) {
		return err
	}
	name := c.transport.files.commonName()
	if name == "" {
		return err
	}
	stage, ok := errors.AsType[*StageError](hint.Err)
	if !ok {
		return err
	}
	told, word := *hint, strconv.Quote(name)
	told.Err = &StageError{
		Stage: stage.Stage, Cause: stage.Cause,
		Err: fmt.Errorf("permission denied: no user was named, so that the client certificate's common name %s is the user; there is none of that name, or its roles do not allow it", word),
	}
	told.Hint = "as root: etcdops user get " + word + " --detail; if there is none: etcdops user add " + word + " --no-password, etcdops user grant-role " + word +
		" ROLE; or another certificate (--cert, --key), or --user NAME --password-file FILE"
	return &told
}

// connectionFailure returns the failed attempt behind a request that could not be sent, nil when there is none.
func (c *Cluster) connectionFailure(ctx context.Context, endpoint string, err error) error {
	code := status.Code(err)
	if code != codes.Unavailable && !isTimeout(err) && code != codes.DeadlineExceeded {
		return nil
	}
	names := []string{endpoint}
	if endpoint == "" {
		names = c.cfg.Endpoints
	}
	failures := make([]error, 0, len(names))
	for _, name := range names {
		l := c.known(name)
		if l == nil {
			return nil
		}
		a, _ := l.record()
		if a == nil {
			return nil
		}
		stage, failed, settled := a.result()
		switch {
		case !settled:
			failures = append(failures, l.gaveUp(ctx, a))
		case failed == nil:
			return nil
		default:
			failures = append(failures, l.evidence(a, stage, failed).diagnose())
		}
	}
	return joinFailures(names, failures)
}

// rpcCause is what a request's error means.
type rpcCause struct {
	code  Code
	class Class
	cause string
	hint  string
}

// explainRPC explains the error of a request that reached its member.
func explainRPC(op, endpoint string, ctx context.Context, timeout time.Duration, err error) error { //nolint:revive // ctx is data here: has it ended?
	if _, ok := errors.AsType[*HintError](err); ok {
		return err
	}
	if isCanceled(ctx.Err()) {
		return &HintError{Class: ClassInterrupted, Op: op, Member: endpoint, Err: context.Cause(ctx)}
	}
	found := causeOf(rpctypes.Error(err), err, timeout)
	if found.code == "" {
		return &HintError{Class: ClassFailure, Op: op, Member: endpoint, Err: err}
	}
	return &HintError{
		Code: found.code, Class: found.class, Op: op, Member: endpoint,
		Err:  &StageError{Stage: stageOf(found.code), Err: errors.New(found.cause), Cause: err},
		Hint: found.hint,
	}
}

func stageOf(code Code) Stage {
	if slices.Contains([]Code{CodeAuthFailed, CodeUserNeeded, CodePermissionDenied, CodeTokenInvalid}, code) {
		return StageAuth
	}
	return StageRPC
}

// causeOf tells the causes apart: etcd's own errors by identity, what gRPC and proxies make up by code and text.
func causeOf(known, err error, timeout time.Duration) rpcCause {
	switch {
	case errors.Is(known, rpctypes.ErrAuthFailed):
		return rpcCause{CodeAuthFailed, ClassFailure, "the user or the password is wrong", "check --user and the password file; etcdops user list (as root) shows the users"}
	case errors.Is(known, rpctypes.ErrUserEmpty):
		return rpcCause{CodeUserNeeded, ClassFailure, "the cluster wants a user, and none was given", "name one: --user NAME --password-file FILE"}
	case errors.Is(known, rpctypes.ErrPermissionDenied):
		return rpcCause{CodePermissionDenied, ClassFailure, "permission denied: this user's roles do not allow it", "etcdops user get NAME --detail (as root) shows what a user may do"}
	case errors.Is(known, rpctypes.ErrInvalidAuthToken), errors.Is(known, rpctypes.ErrAuthOldRevision):
		return rpcCause{CodeTokenInvalid, ClassFailure, "the token is not honoured: expired, or issued by another cluster", "get a new token, or use --user NAME --password-file FILE"}
	case isAny(known, rpctypes.ErrNoLeader, rpctypes.ErrLeaderChanged, rpctypes.ErrTimeout, rpctypes.ErrTimeoutDueToLeaderFail,
		rpctypes.ErrTimeoutDueToConnectionLost, rpctypes.ErrTimeoutWaitAppliedIndex):
		return rpcCause{CodeNoLeader, ClassUnreachable, "the member could not bring the request to a leader (" + known.Error() + ")", "etcdops health"}
	case isAny(known, rpctypes.ErrStopped, rpctypes.ErrUnhealthy, rpctypes.ErrNotCapable):
		return rpcCause{CodeUnavailable, ClassUnreachable, "the member cannot serve now (" + known.Error() + ")", "etcdops health"}
	}
	return causeOfStatus(err, timeout)
}

func causeOfStatus(err error, timeout time.Duration) rpcCause {
	text := err.Error()
	switch {
	case strings.Contains(text, "unexpected HTTP status code"), strings.Contains(text, "content-type"), status.Code(err) == codes.Unimplemented:
		return rpcCause{CodeNotEtcd, ClassFailure, "something else than etcd answers there (" + statusText(err) + ")", "check host and port; etcd's clients use 2379 by default"}
	case isTimeout(err), status.Code(err) == codes.DeadlineExceeded:
		return rpcCause{CodeSlow, ClassUnreachable, fmt.Sprintf("connected, but the request was not answered within %s: the cluster has no leader, or the member is overloaded", round(timeout)), "etcdops health; a longer limit: --command-timeout 30s"}
	case status.Code(err) == codes.Unavailable:
		return rpcCause{CodeUnavailable, ClassUnreachable, "the connection broke while the request was under way (" + statusText(err) + ")", "etcdops health"}
	}
	return rpcCause{}
}

func statusText(err error) string {
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}
	return err.Error()
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// joinFailures makes one error of the failures of all endpoints, in their order.
func joinFailures(endpoints []string, failures []error) error {
	if len(failures) == 1 {
		return failures[0]
	}
	var first *HintError
	common := true
	lines := make([]string, len(failures))
	for i, err := range failures {
		if hint, ok := errors.AsType[*HintError](err); ok {
			if first == nil {
				first = hint
			}
			common = common && hint.Code == first.Code
			if hint.Class == ClassInterrupted {
				return err
			}
			err = hint.Err
		}
		lines[i] = endpoints[i] + ": " + err.Error()
	}
	joined := &endpointsError{lines: lines, causes: failures}
	if first == nil {
		return &HintError{Code: CodeNoEndpoint, Class: ClassUnreachable, Op: "connect", Err: joined}
	}
	out := &HintError{Code: CodeNoEndpoint, Class: first.Class, Op: "connect", Err: joined, Hint: first.Hint}
	if common {
		out.Code = first.Code
	}
	return out
}

// endpointsError lists why each endpoint failed.
type endpointsError struct {
	lines  []string
	causes []error
}

// Error implements error.
func (e *endpointsError) Error() string {
	return fmt.Sprintf("none of %d endpoints answers\n  %s", len(e.lines), strings.Join(e.lines, "\n  "))
}

// Unwrap returns all causes.
func (e *endpointsError) Unwrap() []error { return e.causes }
