// Package pki makes certificates for tests: an authority, and server, peer and client certificates signed by it, good
// ones and every kind of bad one.
//
//	ca := pki.NewCA(t, pki.CAOptions{})
//	cert, key := ca.Server(t, pki.CertOptions{Hosts: []string{"127.0.0.1"}})
//	cert, key = ca.Server(t, pki.CertOptions{Days: -1})                 // expired yesterday
//	cert, key = ca.Server(t, pki.CertOptions{Days: 10})                 // ten days left
//	cert, key = ca.Server(t, pki.CertOptions{StartsIn: time.Hour})      // not yet valid
//	cert, key = ca.Server(t, pki.CertOptions{Hosts: []string{"other"}}) // wrong name
//	cert, key = ca.Client(t, pki.CertOptions{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}) // wrong usage
//
// Another authority is another NewCA; a key that does not belong to a certificate is the key of another certificate.
// Everything is written below the test's own directory. The package imports nothing of etcd.
package pki
