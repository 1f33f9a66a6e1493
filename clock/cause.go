package clock

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// cause says in plain words why a clock could not be read.
func cause(err error, bound time.Duration) string {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		return "the name " + name.Name + " cannot be resolved"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its certificate is signed by another authority than the one trusted here"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return strings.TrimPrefix(err.Error(), "tls: failed to verify certificate: ")
	}
	if alert, ok := errors.AsType[tls.AlertError](err); ok {
		return "it does not accept this client's certificate, or wants one (" + alert.Error() + ")"
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer for %s", bound)
	case strings.HasPrefix(err.Error(), "remote error: tls:"):
		return "it does not accept this client's certificate, or wants one (" + strings.TrimPrefix(err.Error(), "remote error: ") + ")"
	}
	return err.Error()
}
