package ops

import "slices"

// Explanations returns one explanation for each code of this package, in the order of the codes.
func Explanations() []Explanation {
	return slices.Concat(explainReaching(), explainFiles(), explainTLS(), explainAuth(), explainRequests(), explainScans(), explainSnapshots(), explainChanges())
}

func explainReaching() []Explanation {
	return []Explanation{
		{
			string(CodeNoEndpoint), "no endpoint answers, each for a reason of its own",
			"Every endpoint was tried and failed; the lines of the error say at which stage and why.",
			"Nothing is known of the cluster until one endpoint answers: it may be serving others well.",
			[]string{"mend the endpoint that failed latest in the order dns, tcp, tls, http2, auth, rpc: it is the nearest to working", "etcdops explain with the code of a single cause: run the command with one endpoint at a time"},
		},
		{
			string(CodeBadEndpoint), "an endpoint is no URL of a member",
			"An endpoint is written scheme://host:port with the scheme http, https, unix or unixs, or host:port alone. IPv6 addresses stand in brackets.",
			"None: nothing was tried.",
			[]string{"--endpoints https://10.0.0.1:2379,https://10.0.0.2:2379", "--endpoints 'https://[fd00::1]:2379'"},
		},
		{
			string(CodeDNS), "the host's name cannot be resolved",
			"The name does not exist, or the name server does not answer.",
			"If members find each other by name too, they cannot either, and elections will fail once connections break.",
			[]string{"getent hosts NAME", "cat /etc/resolv.conf", "use the member's IP address if its certificate names it"},
		},
		{
			string(CodeRefused), "connection refused",
			"The host answers, but no process listens on the port: etcd is down, still starting, or listens on another address.",
			"The member takes no part in the quorum if it is down.",
			[]string{"on the host: systemctl status etcd etcdops, or crictl ps -a --name etcd", "ss -ltnp | grep etcd shows the addresses it listens on", "journalctl -u etcd -n 50, or crictl logs, says why it ended"},
		},
		{
			string(CodeNoAnswer), "no answer to the connection",
			"Packets to the address vanish: the host is down, the address is wrong, or a firewall drops them.",
			"The other members may not reach this one either: it then takes no part in the quorum.",
			[]string{"ping HOST", "nc -vz HOST 2379 from another member tells a dead host from a firewall", "check security groups and firewalls for ports 2379 and 2380", "--dial-timeout 10s for a slow line"},
		},
		{
			string(CodeNoRoute), "no way to the address",
			"This machine has no route to the address, or its own rules do not let it connect there.",
			"None by itself: only this machine is known to be affected.",
			[]string{"ip route get HOST", "nft list ruleset", "for a unix socket: ls -l FILE"},
		},
		{
			string(CodeConnClosed), "the connection is closed before anything is said",
			"Something accepts the connection and closes it at once: a load balancer with no member behind it, a firewall, or an etcd that is just ending.",
			"None known.",
			[]string{"try the member's own address, not a load balancer's", "read the member's log for rejected connections"},
		},
		{
			string(CodeSilent), "the connection is accepted, then nothing is said",
			"The kernel accepts connections for a process that does not run: etcd is stopped (SIGSTOP), frozen with its container, or waits for a disk that hangs. A member that was started and waits for a quorum of its cluster is silent too; it runs.",
			"A member that hangs counts for the quorum and does not vote: one more failure may stop the cluster.",
			[]string{"on the host: ps -o pid,stat,wchan,args -C etcd,etcdops (T is stopped, D waits for the disk)", "dmesg | tail shows disk errors", "read its log: one that waits says which others do not answer, and needs them, no restart", "if it does not recover, restart the member"},
		},
		{
			string(CodeConnectOther), "the connection cannot be opened",
			"The system reports a failure that is none of the usual ones; the error has its words.",
			"None known.",
			[]string{"read the error's last words", "ulimit -n if it speaks of too many open files"},
		},
	}
}

func explainFiles() []Explanation {
	return []Explanation{
		{
			string(CodeFileUnreadable), "a certificate, key or CA file cannot be read",
			"The file does not exist, or this user may not read it. Private keys are usually readable by root alone.",
			"None: nothing was tried.",
			[]string{"ls -l FILE", "run the command as root (sudo)", "etcdops config view shows which setting names the file, and where it came from"},
		},
		{
			string(CodeFileMalformed), "a certificate, key or CA file holds something else",
			"The file is empty, no PEM, of the wrong kind (a key where a certificate belongs), cut off, or its key is encrypted with a passphrase.",
			"None: nothing was tried.",
			[]string{"openssl x509 -noout -text -in CERT", "openssl pkey -noout -text -in KEY", "openssl pkey -in ENCRYPTED -out PLAIN removes a passphrase"},
		},
		{
			string(CodeKeyMismatch), "the certificate does not belong to the private key",
			"Certificate and key were not made together: often only one of the two was renewed or copied.",
			"If a member's own pair is mixed up like this, it will not start again.",
			[]string{"openssl x509 -noout -pubkey -in CERT and openssl pkey -pubout -in KEY must print the same", "take both files from the same place"},
		},
		{
			string(CodeCertWithoutKey), "a certificate without its key, or a key without its certificate",
			"A client proves itself with both.",
			"None: nothing was tried.",
			[]string{"give both: --cert FILE --key FILE"},
		},
	}
}

func explainTLS() []Explanation {
	return slices.Concat(explainServerCertificate(), explainClientCertificate(), []Explanation{
		{
			string(CodePlainServer), "https to a server without TLS",
			"The endpoint says https and the server speaks plain HTTP.",
			"Without TLS anybody on the network can read and write the store.",
			[]string{"use http:// in the endpoint", "or give the server --cert-file and --key-file"},
		},
		{
			string(CodeTLSServer), "http to a server with TLS",
			"The endpoint says http, or has no scheme and no certificate was given, and the server speaks TLS.",
			"None: nothing was said over the connection.",
			[]string{"use https:// in the endpoint", "name the CA and a client certificate: --cacert FILE --cert FILE --key FILE"},
		},
		{
			string(CodeTLSOther), "the TLS handshake fails",
			"Both sides have no TLS version or cipher in common, or one of them refuses for another reason; the error has its words. This program speaks TLS 1.2 and 1.3.",
			"None known.",
			[]string{"internal error: certificate and key of that member do not belong together, as when only one of them was renewed, or cannot be read by its user", "read the member's log at that moment", "openssl s_client -connect HOST:2379 </dev/null", "check the server's --cipher-suites, --tls-min-version and --tls-max-version"},
		},
	})
}

func explainServerCertificate() []Explanation {
	return []Explanation{
		{
			string(CodeUnknownAuthority), "the server's certificate is signed by none of the authorities trusted",
			"The CA file is another cluster's, is older than the server's certificate, or was not given.",
			"Somebody may be posing as the member; do not turn verification off on a network you do not trust.",
			[]string{"name the CA that signed it: --cacert FILE (kubeadm: /etc/kubernetes/pki/etcd/ca.crt)", "openssl s_client -connect HOST:2379 </dev/null | openssl x509 -noout -issuer", "during a change of CA, trust both: cat old.crt new.crt > both.crt"},
		},
		{
			string(CodeWrongName), "the server's certificate is for other names",
			"The endpoint's host is none of the certificate's subject alternative names; the subject's common name does not count.",
			"Somebody may be posing as the member, but mostly the certificate was issued without this name or address.",
			[]string{"connect to one of the names that the error lists", "verify one of them while connecting elsewhere: --tls-server-name NAME", "have the certificate issued again with the missing name"},
		},
		{
			string(CodeServerExpired), "the server's certificate has expired",
			"Nobody renewed it in time; or this machine's clock is ahead.",
			"All clients that verify, kube-apiserver among them, are locked out; if peer certificates expire too, members cannot connect and the quorum is lost.",
			[]string{"date -u on both machines", "kubeadm: kubeadm certs check-expiration, kubeadm certs renew etcd-server etcd-peer", "etcd reads renewed files with the next connection; no restart is needed"},
		},
		{
			string(CodeServerNotYet), "the server's certificate is not valid yet",
			"This machine's clock is behind, or the one that issued the certificate was ahead.",
			"Members whose clocks differ that much also grant leases of wrong length.",
			[]string{"date -u on both machines", "chronyc tracking"},
		},
		{
			string(CodeKeyUsage), "a certificate is used for what it was not issued for",
			"Its extended key usage lacks \"server auth\" (for a server's) or \"client auth\" (for a client's).",
			"None: the connection was refused.",
			[]string{"openssl x509 -noout -ext extendedKeyUsage -in CERT", "have it issued again: extendedKeyUsage = serverAuth, clientAuth for members; clientAuth for clients"},
		},
		{
			string(CodeServerInvalid), "the server's certificate is not valid",
			"Its chain breaks a rule of certificates: an authority that may not sign, a name that its authority may not issue, a path too long; the error has the words.",
			"None: the connection was refused.",
			[]string{"openssl s_client -showcerts -connect HOST:2379 </dev/null"},
		},
	}
}

func explainClientCertificate() []Explanation {
	return []Explanation{
		{
			string(CodeClientCertNeeded), "the server asks for a client certificate",
			"The server runs with --client-cert-auth or a --trusted-ca-file, and no certificate was given.",
			"None: the connection was refused.",
			[]string{"give one: --cert FILE --key FILE (kubeadm: /etc/kubernetes/pki/etcd/healthcheck-client.crt and .key)", "on a control-plane node, as root, leave the flags out: they are found"},
		},
		{
			string(CodeClientCertRefused), "the server does not accept the client certificate",
			"It was not signed by the server's --trusted-ca-file, was revoked, or its name is not among those that the server allows.",
			"None: the connection was refused.",
			[]string{"openssl verify -CAfile SERVER-TRUSTED-CA CERT", "the member's log says what it did not like", "check the server's --client-cert-allowed-hostname and --client-crl-file"},
		},
		{
			string(CodeClientCertExpired), "the client certificate has expired or is not valid yet",
			"Nobody renewed it in time, or a clock is wrong.",
			"Whatever else uses this certificate is locked out as well.",
			[]string{"openssl x509 -noout -dates -in CERT", "kubeadm: kubeadm certs renew etcd-healthcheck-client", "use another certificate: --cert FILE --key FILE"},
		},
	}
}

func explainAuth() []Explanation {
	return []Explanation{
		{
			string(CodeAuthFailed), "the user or the password is wrong",
			"The cluster knows no such user, or the password is another; it does not tell which.",
			"None.",
			[]string{"--user NAME --password-file FILE", "a password file must hold the password and nothing else", "etcdops user passwd NAME (as root) sets a new one"},
		},
		{
			string(CodeUserNeeded), "the cluster wants a user",
			"Authentication is on, and the request named no user, neither by password nor by certificate. In etcd 3.7 even the status needs one.",
			"None.",
			[]string{"--user NAME --password-file FILE", "with --client-cert-auth, the common name of the client certificate is the user"},
		},
		{
			string(CodePermissionDenied), "the user may not do this",
			"The roles of the user do not allow this request; many operations need the role root. Where no user is given, the common name of the client certificate is the user, also when there is none of that name.",
			"None: nothing was changed.",
			[]string{
				"etcdops user get NAME --detail (as root)", "etcdops role grant-permission ROLE readwrite KEY (as root)",
				"a certificate whose name is no user: etcdops user add NAME --no-password, etcdops user grant-role NAME ROLE (as root); or another certificate",
			},
		},
		{
			string(CodeTokenInvalid), "the token is not honoured",
			"The token has expired, was issued by another cluster or signed by another key, or the users have changed since.",
			"None.",
			[]string{"get a new token", "use --user NAME --password-file FILE, which renews tokens by itself"},
		},
		{
			string(CodeBadCredentials), "user, password and token do not fit together",
			"A user needs a password, a password needs a user, and a token takes the place of both.",
			"None: nothing was tried.",
			[]string{"--user NAME --password-file FILE", "or --auth-jwt-token TOKEN alone", "etcdops config view shows where each came from"},
		},
	}
}

func explainRequests() []Explanation {
	return []Explanation{
		{
			string(CodeNoLeader), "the member has no leader to take the request to",
			"The members are electing a leader, or too few of them reach each other for one.",
			"Nothing can be written until there is a leader. Requests that were under way may or may not have been done.",
			[]string{"etcdops health says which members are missing", "repeat the command after a few seconds: an election takes about one"},
		},
		{
			string(CodeSlow), "connected, but the request is not answered in time",
			"The cluster has no leader, or the member is overloaded, or its disk is slow.",
			"A write may or may not have been done: read before repeating it.",
			[]string{"etcdops health", "a longer limit: --command-timeout 30s"},
		},
		{
			string(CodeUnavailable), "the member cannot serve now",
			"The member is stopping, or the connection broke while the request was under way.",
			"A write may or may not have been done: read before repeating it.",
			[]string{"etcdops health", "repeat the command"},
		},
		{
			string(CodeNotEtcd), "something else than etcd answers",
			"The port belongs to another program: a web server, an API server, ssh, or a member's peer port (2380).",
			"None.",
			[]string{"check host and port: clients use 2379 by default, kOps 4001", "ss -ltnp on the host shows who listens"},
		},
	}
}

func explainScans() []Explanation {
	return []Explanation{
		{
			string(CodeScanBroken), "an answer in pieces broke off",
			"Keys were being read when the connection was lost for good, or no data came for the command's time limit.",
			"What was printed is right, but it is not all: do not take it for the whole.",
			[]string{"etcdops health", "run the command again", "a longer limit for silence: --command-timeout 30s"},
		},
		{
			string(CodeCompacted), "the revision was compacted away",
			"The history before some revision is forgotten, by `etcdops compact` or by automatic compaction. It may happen while a long answer is read.",
			"None for the data. An answer that broke off is not all of it.",
			[]string{"read the newest revision: leave --rev out", "run the command again; a narrower prefix or --keys-only takes less time"},
		},
		{
			string(CodeFutureRevision), "the revision has not been written yet",
			"The number given is larger than the cluster's revision: a typing error, another cluster, or a member that is behind (--consistency s).",
			"None: nothing was read.",
			[]string{"leave --rev out", "etcdops get KEY -w fields shows the newest revision"},
		},
	}
}

func explainSnapshots() []Explanation {
	return []Explanation{
		{
			string(CodeSnapshotBroken), "a snapshot broke off",
			"The member ended, the connection broke, or a proxy cut the stream before the whole database had come.",
			"None: what came was thrown away.",
			[]string{"etcdops health", "run the command again", "a proxy between here and the member may limit how long a request lasts"},
		},
		{
			string(CodeSnapshotDamaged), "a snapshot is not what the member sent",
			"The SHA-256 that the member sends after the database does not fit what came, or did not come.",
			"None for the cluster. Bytes were changed on the way or in this machine's memory: what came was thrown away.",
			[]string{"run the command again", "if it fails again, from another machine: memory and network hardware are the usual cause"},
		},
		{
			string(CodeSnapshotSlow), "a snapshot's stream is too slow",
			"Fewer bytes came than the least rate asks for: the member's disk or the network stands still, or this machine's disk does.",
			"While a snapshot is being read the member cannot free pages of its database, which therefore grows: so it was given up.",
			[]string{"etcdops health", "another member: --member NAME", "on a line that is really so slow: --min-rate"},
		},
	}
}
