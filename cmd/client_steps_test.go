package cmd_test

import (
	"fmt"
	"strconv"
	"strings"
)

// all are the formats of etcdctl's that most commands print.
const all = "simple json fields protobuf"

// compareSteps is what TestSameAsEtcdctl runs, in this order. ~ stands for a blank within a word.
func compareSteps() []step {
	var steps []step
	in := func(formats, line string) {
		for format := range strings.FieldsSeq(formats) {
			steps = append(steps, step{line: line + " -w " + format})
		}
	}
	add := func(lines ...string) {
		for _, line := range lines {
			steps = append(steps, step{line: line})
		}
	}
	keySteps(in, add)
	steps = append(steps, txnSteps()...)
	steps = append(steps, step{line: "get /a --prefix --rev 2", own: true}, step{line: "get /a --prefix --rev 1000", own: true})
	in("simple json fields table", "endpoint health")
	in("simple json fields table", "endpoint status")
	in("simple json fields table", "endpoint hashkv")
	in("simple json", "endpoint hashkv --rev 3")
	clusterSteps(in, add)
	steps = append(steps, leaseSteps()...)
	authSteps(in, add)
	for i, st := range steps { // told in our words
		if st.line == "--user u:pw get /z --prefix" {
			steps[i].own = true
		}
	}
	return steps
}

func keySteps(in func(formats, line string), add func(lines ...string)) {
	for i := range 5 {
		add(fmt.Sprintf("put /a/%d value~%d", i, i))
	}
	in(all, "put /a/1 again --prev-kv")
	add("put /a/bin -- -\x01\xff<>&", "put k", "put", "put a b --lease xyz", "put /a/0 x --ignore-lease")
	in(all, "get /a/1")
	in(all, "get /none")
	for _, how := range []string{
		"/a --prefix", "/a/2 --from-key", "/a/1 /a/3", "/a --prefix --keys-only", "/a --prefix --hex", "~ --prefix --limit 2", "/none --prefix",
		"/a --prefix --limit 3", "/a --prefix --rev 4", "/a --prefix --consistency s", "/a --prefix --order ASCEND", "/a --prefix --sort-by key",
		"/a --prefix --order DESCEND", "/a --prefix --sort-by MODIFY", "/a --prefix --min-mod-rev 3", "/a --prefix --limit 6", "/a --prefix --stream",
	} {
		in(all, "get "+how)
	}
	add("get /a --prefix --print-value-only", "get /a --prefix --print-value-only --hex", "get /a --prefix --print-value-only -w json",
		"get /a --prefix --count-only -w fields", "get /a --prefix --count-only", "get", "get /a --prefix --from-key",
		"get /a /b --prefix", "get /a --prefix --consistency x", "get /a --prefix --order x", "get /a --prefix --sort-by x",
		"get /a --keys-only --count-only", "get /a --prefix --rev -1", "get /a --prefix --limit -1")
	in(all, "del /none")
	in(all, "del /a/1 --prev-kv")
	add("compact 4", "compaction 3", "compact x", "compact", "get /a/1 --rev 2")
}

func txnSteps() []step {
	var steps []step
	input := "mod(\"/a/2\") > \"0\"\n\nput t1 \"x y\"\nget /a/2\ndel /a/3\n\nget t1\n\n"
	for format := range strings.FieldsSeq(all) {
		steps = append(steps, step{line: "txn -w " + format, stdin: input})
	}
	return append(steps, step{line: "txn", stdin: "nonsense\n\n\n\n"}, step{line: "txn", stdin: ""}, step{line: "put stdin", stdin: "from stdin"})
}

func clusterSteps(in func(formats, line string), add func(lines ...string)) {
	in(all+" table", "member list")
	in("simple json", "member list --hex")
	in(all, "alarm list")
	in(all, "alarm disarm")
	in("simple json protobuf", "downgrade validate 3.6.0")
	add("downgrade validate x", "downgrade cancel", "defrag", "defrag --cluster")
}

func leaseSteps() []step {
	return []step{
		{line: "lease grant 1000", learn: "LEASE"},
		{line: "put l v --lease $LEASE"},
		{line: "lease timetolive $LEASE --keys"},
		{line: "lease timetolive 1 -w json"},
		{line: "lease list"},
		{line: "lease list -w json"},
		{line: "lease list -w fields"},
		{line: "get l -w fields --hex"},
		{line: "get l --prefix -w fields --hex"},
		{line: "lease keep-alive $LEASE --once"},
		{line: "lease keep-alive $LEASE --once -w fields"},
		{line: "lease revoke $LEASE"},
		{line: "lease revoke 1"},
		{line: "lease grant x"},
	}
}

func authSteps(in func(formats, line string), add func(lines ...string)) {
	in(all, "role add r")
	add("role grant-permission r readwrite /a /b -w json", "role grant-permission r read /c --prefix", "role grant-permission r nothing /a")
	in(all, "role get r")
	in(all, "role list")
	add("role revoke-permission r /c --prefix")
	add("user add root:pw", "user add u:pw", "user add v --no-password -w json", "user grant-role root root", "user grant-role u r -w fields")
	in("simple json protobuf", "user get u")
	in("simple json protobuf", "user list")
	in("simple json protobuf", "auth status")
	add("auth enable", "--user root:pw user list", "get /a/0", "--user u:pw get /a --prefix", "--user u:pw get /z --prefix",
		"--user u:wrong get /a/0", "--user u --password pw put /a/9 x", "--user u:pw role list", "--user root:pw auth disable",
		"user revoke-role u r", "user delete u", "role delete r",
		"lock name echo hello")
}

// decimal writes a hexadecimal ID as etcdctl's JSON has it.
func decimal(id string) string {
	n, err := strconv.ParseUint(id, 16, 64)
	if err != nil {
		return id
	}
	return strconv.FormatUint(n, 10)
}
