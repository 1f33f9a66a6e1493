package config

import "github.com/etcdops/etcdops/ops"

// Explanations returns one explanation for each code of this package, in the order of the codes.
func Explanations() []ops.Explanation {
	return append(explainContexts(), explainFinding()...)
}

func explainContexts() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: string(CodeBadValue), Title: "a setting cannot be read",
			Cause:  "A flag, a variable or a context gives a value of the wrong kind: a duration without its unit, a word where true or false belongs.",
			Danger: "None: nothing was tried.",
			Fix:    []string{"etcdops config view shows every setting and where it came from", "durations have units: 500ms, 5s, 1m30s"},
		},
		{
			Code: string(CodeBadFile), Title: "the file of contexts is malformed",
			Cause:  "The file was cut off while somebody else wrote it, or was edited and has a mistake: bad YAML, a field that does not exist, two contexts of one name.",
			Danger: "Nothing is connected to, because half a file might lead to the wrong cluster.",
			Fix:    []string{"mend the line that the error names", "etcdops config validate", "or move the file away and add the contexts again: etcdops context add"},
		},
		{
			Code: string(CodeFileAccess), Title: "the file of contexts cannot be read or written",
			Cause:  "The file or its directory belongs to another user, or the disk is full or read-only. With sudo, the home directory may be another one.",
			Danger: "None: the file is left as it was.",
			Fix:    []string{"ls -ld ~/.config/etcdops ~/.config/etcdops/config.yaml", "ETCDOPS_CONFIG=FILE names another file"},
		},
		{
			Code: string(CodeNoContext), Title: "there is no context of that name",
			Cause:  "The name is misspelled (capitals count), the context is in another user's file, or it was never added.",
			Danger: "None: nothing was tried.",
			Fix:    []string{"etcdops context list", "etcdops context add NAME --endpoints https://HOST:2379"},
		},
		{
			Code: string(CodeContextExists), Title: "a context of that name exists",
			Cause:  "Contexts are not replaced by accident.",
			Danger: "None: nothing was changed.",
			Fix:    []string{"choose another name", "etcdops context add NAME --replace ...", "etcdops context delete NAME"},
		},
		{
			Code: string(CodeBadContext), Title: "a context is not valid",
			Cause:  "Its name has characters that names may not have, it says nothing of where the cluster is, or its settings do not fit together.",
			Danger: "None: nothing was changed.",
			Fix:    []string{"etcdops context add --help", "etcdops config validate"},
		},
	}
}

func explainFinding() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: string(CodeSRV), Title: "SRV discovery finds no endpoint",
			Cause:  "The domain has no SRV records of the service etcd-client-ssl (or etcd-client, where --insecure-discovery allows it), or the name server does not answer.",
			Danger: "None: nothing was tried.",
			Fix:    []string{"dig +short SRV _etcd-client-ssl._tcp.DOMAIN", "name the endpoints instead: --endpoints https://HOST:2379"},
		},
		{
			Code: string(CodeNotEtcdStore), Title: "this machine's cluster keeps its data elsewhere than in etcd",
			Cause:  "MicroK8s and older Canonical Kubernetes use dqlite; k3s and k0s with a single server use SQLite.",
			Danger: "None. Such a store is backed up and mended with its distribution's own tools.",
			Fix:    []string{"MicroK8s: microk8s dbctl backup", "k3s: k3s server --cluster-init moves a single server to etcd", "for an etcd elsewhere: --endpoints https://HOST:2379"},
		},
		{
			Code: string(CodePlainTransport), Title: "an endpoint without TLS where that is not allowed",
			Cause:  "--insecure-transport=false (or its variable) forbids connections without TLS, and an endpoint says http.",
			Danger: "None: nothing was tried.",
			Fix:    []string{"use https:// in the endpoint", "or drop --insecure-transport=false"},
		},
		{
			Code: string(CodePasswordFile), Title: "the password file cannot be used",
			Cause:  "The file is missing, empty, too large, has more than one line, or this user may not read it.",
			Danger: "None: nothing was tried.",
			Fix:    []string{"put the password and nothing else into the file; a newline at its end does not matter", "chmod 600 FILE"},
		},
		{
			Code: string(CodeNoPrompt), Title: "a password is missing and nobody can be asked",
			Cause:  "A user was named without a password, and the command does not run on a terminal.",
			Danger: "None: nothing was tried.",
			Fix:    []string{"--password-file FILE", "COMMAND | etcdops --password-file - reads it from standard input"},
		},
		{
			Code: string(CodeNothingFound), Title: "nothing on this machine tells of an etcd",
			Cause:  "No etcd runs here, no static pod or file of a service tells of one, and none of the known distributions keeps certificates here; or this user may not look.",
			Danger: "None.",
			Fix:    []string{"run it on a control-plane node, as root", "name the endpoints: --endpoints https://HOST:2379 --cacert FILE --cert FILE --key FILE"},
		},
	}
}
