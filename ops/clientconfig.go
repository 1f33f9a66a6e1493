package ops

import "crypto/tls"

// ClientConfig loads the files into the client's side of TLS connections that are not gRPC's: plain HTTP to client,
// metrics or peer URLs. The client certificate is offered whatever authorities the server names. The error is a
// *HintError that names the file.
func (t TLS) ClientConfig() (*tls.Config, error) {
	m, err := loadTLS(t)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: m.roots, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if m.cert == nil {
				return new(tls.Certificate), nil
			}
			return m.cert, nil
		},
	}, nil
}
