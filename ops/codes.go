package ops

// Codes of the connection. Each names one cause; `etcdops explain CODE` tells what to do about it.
const (
	CodeNoEndpoint   Code = "ETO-1001" // several endpoints, each failing for a reason of its own
	CodeBadEndpoint  Code = "ETO-1002" // no URL of a member
	CodeDNS          Code = "ETO-1003" // the host's name cannot be resolved
	CodeRefused      Code = "ETO-1004" // nothing listens on the port
	CodeNoAnswer     Code = "ETO-1005" // packets vanish
	CodeNoRoute      Code = "ETO-1006" // no way to the address, or not allowed to go there
	CodeConnClosed   Code = "ETO-1007" // the other side closed the connection before it said anything
	CodeSilent       Code = "ETO-1008" // the connection is accepted, then nothing is said
	CodeConnectOther Code = "ETO-1009" // any other failure to open a connection

	CodeFileUnreadable Code = "ETO-1010" // certificate, key or CA file missing or not permitted
	CodeFileMalformed  Code = "ETO-1011" // not PEM, or not of the right kind
	CodeKeyMismatch    Code = "ETO-1012" // certificate and key do not belong together
	CodeCertWithoutKey Code = "ETO-1013" // one of certificate and key is missing

	CodeUnknownAuthority  Code = "ETO-1020" // the server's certificate is signed by none of the CAs trusted
	CodeWrongName         Code = "ETO-1021" // the server's certificate is for other names
	CodeServerExpired     Code = "ETO-1022" // the server's certificate has expired
	CodeServerNotYet      Code = "ETO-1023" // the server's certificate is not valid yet
	CodePlainServer       Code = "ETO-1024" // https to a server that speaks http
	CodeTLSServer         Code = "ETO-1025" // http to a server that speaks TLS
	CodeClientCertNeeded  Code = "ETO-1026" // the server asks for a client certificate
	CodeClientCertRefused Code = "ETO-1027" // the server does not accept the client certificate
	CodeClientCertExpired Code = "ETO-1028" // the client certificate has expired or is not valid yet
	CodeKeyUsage          Code = "ETO-1029" // a certificate is used for what it was not issued for
	CodeTLSOther          Code = "ETO-1030" // no common TLS version, cipher, or another refusal
	CodeServerInvalid     Code = "ETO-1031" // the server's certificate is broken in another way

	CodeAuthFailed       Code = "ETO-1040" // wrong user or password
	CodeUserNeeded       Code = "ETO-1041" // authentication is on and no user was given
	CodePermissionDenied Code = "ETO-1042" // the user may not do this
	CodeTokenInvalid     Code = "ETO-1043" // the token is not honoured
	CodeBadCredentials   Code = "ETO-1044" // user, password and token do not fit together

	CodeNoLeader    Code = "ETO-1050" // the member has no leader to take the request to
	CodeSlow        Code = "ETO-1051" // connected, but the request was not answered in time
	CodeUnavailable Code = "ETO-1052" // the member cannot serve now, or the connection broke
	CodeNotEtcd     Code = "ETO-1053" // something else than etcd listens there

	CodeScanBroken     Code = "ETO-1060" // an answer in pieces broke off: what came is right, but not all
	CodeCompacted      Code = "ETO-1061" // the revision was compacted away, before or while it was read
	CodeFutureRevision Code = "ETO-1062" // the revision has not been written yet

	CodeSnapshotBroken  Code = "ETO-1065" // a snapshot's stream ended before the snapshot did
	CodeSnapshotDamaged Code = "ETO-1066" // a snapshot is not what the member hashed
	CodeSnapshotSlow    Code = "ETO-1067" // a snapshot's stream stands still or trickles
)

// Codes of refused changes of the membership. Nothing was changed.
const (
	CodeQuorumLoss    Code = "ETO-4003" // the change would lose the quorum
	CodeNoQuorum      Code = "ETO-4004" // there is no quorum to make a change with
	CodeRisk          Code = "ETO-4005" // a named risk that was not accepted
	CodeServerRefuses Code = "ETO-4006" // the server's own check refuses, or is going to
	CodeCannotChange  Code = "ETO-4007" // the change means nothing for this cluster
	CodeListsDiffer   Code = "ETO-4008" // the members do not agree who is a member
	CodeWrongAddress  Code = "ETO-4009" // another member, or a stranger, lives at the peer URL
	CodeStalePlan     Code = "ETO-4010" // the membership has changed since the plan was made
)

// Codes of changes that were made.
const (
	CodeNotVerified Code = "ETO-5000" // the change was made, and a member does not show it
)
