package server

import (
	"slices"

	"github.com/etcdops/etcdops/ops"
)

// Explanations lists what `etcdops explain` tells about this package's codes.
func Explanations() []ops.Explanation {
	return slices.Concat(settingExplanations(), certificateExplanations(), addressExplanations(), directoryExplanations(),
		clusterExplanations(), runExplanations())
}

func settingExplanations() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: "ETO-3001", Title: "unknown flag",
			Cause:  "A word on the command line of serve is no flag: misspelled, of an older etcd, or a boolean's value after a space instead of an equals sign.",
			Danger: "None: nothing was started.",
			Fix:    []string{"etcdops serve --help", "write a boolean as --flag=false"},
		},
		{
			Code: "ETO-3002", Title: "bad value of a setting",
			Cause:  "A flag or variable has a value that does not fit its kind: a URL without http:// or https://, a word for a number.",
			Danger: "None: nothing was started.",
			Fix:    []string{"correct the value that the message names", "etcdops serve --help"},
		},
		{
			Code: "ETO-3003", Title: "settings file cannot be used",
			Cause:  "The file of --config-file is missing, cannot be read, is empty or half-written, is no YAML, or holds a value that does not fit.",
			Danger: "None: nothing was started. Writing the file in place can leave half of it after a crash; write beside it and rename.",
			Fix:    []string{"look at the line that the message names", "durations in the file are nanoseconds: 10 s is 10000000000"},
		},
		{
			Code: "ETO-3004", Title: "settings contradict each other",
			Cause:  "Each setting is valid but not all together, for example listen URLs without advertised ones, or an --initial-cluster that does not list this member.",
			Danger: "None: nothing was started.",
			Fix:    []string{"change the settings that the message names"},
		},
		{
			Code: "ETO-3005", Title: "processor not supported by etcd",
			Cause:  "etcd is tested on amd64, arm64, ppc64le and s390x only and refuses others.",
			Danger: "On other processors atomic operations and memory order are not tested.",
			Fix:    []string{"set ETCD_UNSUPPORTED_ARCH to the processor's name to run it all the same"},
		},
	}
}

func certificateExplanations() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: "ETO-3010", Title: "certificate or key cannot be used",
			Cause:  "A TLS file is missing, cannot be read by the member's user, is no PEM, or its partner was not given.",
			Danger: "None: nothing was started.",
			Fix:    []string{"check path, owner and mode of the file", "give certificate and key together"},
		},
		{
			Code: "ETO-3011", Title: "certificate does not match its key",
			Cause:  "The certificate was issued for another key, often because only one of the two files was renewed.",
			Danger: "None: nothing was started.",
			Fix:    []string{"openssl x509 -noout -pubkey -in CERT", "openssl pkey -pubout -in KEY", "both must print the same"},
		},
		{
			Code: "ETO-3012", Title: "certificate expired",
			Cause:  "The certificate, or every authority in the bundle, is past its end; or this machine's clock is ahead.",
			Danger: "No client and no peer would accept the member.",
			Fix:    []string{"date -u", "renew the certificate (kubeadm certs renew all)", "the files are read again at each connection: no restart for a running member"},
		},
		{
			Code: "ETO-3013", Title: "wrong authority",
			Cause:  "The authority's file holds no certificate, or the peer certificate is not signed by any authority in it.",
			Danger: "Peers would refuse each other, and the cluster would not form.",
			Fix:    []string{"openssl verify -CAfile CA CERT", "while authorities change, put the old and the new one into one bundle"},
		},
		{
			Code: "ETO-3014", Title: "revocation list cannot be used",
			Cause:  "etcd wants the revocation list in DER; it reads it at each connection and refuses all when it cannot.",
			Danger: "Every connection with a client certificate would be refused.",
			Fix:    []string{"openssl crl -in FILE -outform DER -out FILE.der"},
		},
	}
}

func addressExplanations() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: "ETO-3020", Title: "port in use",
			Cause:  "Another process listens on a port that this member needs, most often another etcd.",
			Danger: "None: nothing was started.",
			Fix:    []string{"ss -ltnp shows who listens", "stop it, or choose other ports"},
		},
		{
			Code: "ETO-3021", Title: "address cannot be listened on",
			Cause:  "The machine does not have the address (yet), or the port is reserved for root.",
			Danger: "None: nothing was started.",
			Fix:    []string{"ip address", "choose an address that this machine has"},
		},
	}
}

func directoryExplanations() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: "ETO-3030", Title: "data directory cannot be used",
			Cause:  "The directory or a file in it cannot be written by the member's user, its file system is read-only, or the path is no directory.",
			Danger: "None: nothing was changed.",
			Fix:    []string{"ls -ld DIRECTORY; mount | grep 'ro,'", "chown it to the member's user"},
		},
		{
			Code: "ETO-3031", Title: "data directory in use",
			Cause:  "A running process has the directory's database open. etcd would wait for it without end and without a word.",
			Danger: "Two members on one directory would destroy it; the lock prevents that.",
			Fix:    []string{"stop the process that the message names", "or give this member a directory of its own with --data-dir"},
		},
		{
			Code: "ETO-3032", Title: "data directory of another cluster",
			Cause:  "The directory holds a member of a cluster that shares nothing with --initial-cluster, or a running cluster expects this member and is another one. etcd ignores --initial-cluster once a member has started.",
			Danger: "The member would serve the other cluster's data under this one's name, or wait for ever for peers that ignore it.",
			Fix:    []string{"check --data-dir", "if the directory is right, leave --initial-cluster out", "if the cluster was rebuilt: etcdops explain replace-member"},
		},
		{
			Code: "ETO-3033", Title: "data of another version of etcd",
			Cause:  "A newer minor version wrote the directory, or one that is so much older that its log cannot be read, or the running cluster is of such a version.",
			Danger: "A version can misread records of another; etcd would panic or refuse half-way.",
			Fix: []string{
				"newer: run the newer version, or downgrade the whole cluster first: etcdops downgrade enable VERSION",
				"older: run the version that wrote the data, and go up one minor version at a time",
			},
		},
		{
			Code: "ETO-3034", Title: "not a member's data directory",
			Cause:  "The directory belongs to a v2 proxy, its database is missing beside its log, or its log beside its database.",
			Danger: "Starting could cover up that data is missing, and lose what is written next.",
			Fix:    []string{"check --data-dir and --wal-dir, and that their file systems are mounted", "otherwise replace the member, which takes the data from the others: etcdops explain replace-member"},
		},
	}
}

func clusterExplanations() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: "ETO-3035", Title: "member was removed",
			Cause:  "The cluster removed this member while it ran or was down. It cannot come back under its old ID.",
			Danger: "None for the cluster: it goes on without this member.",
			Fix:    []string{"to have it back, add it again with an empty directory: etcdops explain replace-member", "or retire the machine"},
		},
		{
			Code: "ETO-3036", Title: "cluster runs already",
			Cause:  "The settings say to bootstrap a new cluster, but a peer answers from a running one. Either this member's data directory was lost, or it was added and must start with --initial-cluster-state=existing.",
			Danger: "A member that starts empty under its old ID forgets what it voted for and acknowledged: acknowledged writes can vanish.",
			Fix:    []string{"replace the member: etcdops explain replace-member", "a member that was just added: --initial-cluster-state=existing"},
		},
		{
			Code: "ETO-3037", Title: "cluster does not expect this member",
			Cause:  "The member wants to join, but it was not added with these peer URLs, or --initial-cluster lists other members than the cluster has.",
			Danger: "None: nothing was changed.",
			Fix:    []string{"etcdops member list", "etcdops member add NAME --peer-urls=URL"},
		},
		{
			Code: "ETO-3038", Title: "data directory damaged",
			Cause:  "The log or the database ends too early, contradicts the other, or differs from the other members' data.",
			Danger: "Deleting the directory by hand and starting again can lose acknowledged writes.",
			Fix:    []string{"replace the member: etcdops explain replace-member", "with most members damaged: etcdops explain quorum-lost"},
		},
	}
}

func runExplanations() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: "ETO-3040", Title: "cluster to join cannot be reached",
			Cause:  "No other member of --initial-cluster answered on its peer URL.",
			Danger: "None: nothing was changed.",
			Fix:    []string{"check the network, the peer certificates and --initial-cluster", "etcdops health"},
		},
		{
			Code: "ETO-3041", Title: "discovery failed",
			Cause:  "The discovery service or the SRV records cannot be reached, do not list this member, or the token was used before.",
			Danger: "None: nothing was changed, but a token may have been used up.",
			Fix:    []string{"dig SRV _etcd-server._tcp.DOMAIN", "make a new token for a new cluster"},
		},
		{
			Code: "ETO-3050", Title: "member gave up",
			Cause:  "etcd met something that it cannot go on with and ended at once; the log's last lines say what.",
			Danger: "Acknowledged writes are on the disk. While this member is down the cluster tolerates one failure less.",
			Fix:    []string{"read the last lines of the log", "etcdops health"},
		},
		{
			Code: "ETO-3051", Title: "disk full",
			Cause:  "The file system of the data directory has no space for the log or the database.",
			Danger: "The other members run into the same limit soon if their disks are alike.",
			Fix:    []string{"df -h DIRECTORY", "free space, then start the member again", "etcdops compact and etcdops defrag shrink the database"},
		},
		{
			Code: "ETO-3052", Title: "disk failed",
			Cause:  "Reading or writing the data directory gave an input/output error, or its file system became read-only.",
			Danger: "A disk that fails once fails again; starting on it can damage what is left.",
			Fix:    []string{"dmesg", "on a good disk: etcdops explain replace-member"},
		},
		{
			Code: "ETO-3053", Title: "listener ended",
			Cause:  "One of the member's listeners ended while it ran.",
			Danger: "The member was closed in order; nothing is lost.",
			Fix:    []string{"read the last lines of the log", "start it again"},
		},
	}
}
