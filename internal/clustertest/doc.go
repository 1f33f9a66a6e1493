// Package clustertest runs clusters of real etcd members for tests: each member is a process of its own, with real files,
// real TLS and a real network between them, which tests start, kill, pause, wipe, cut off and start again.
//
// A package that uses it has this TestMain, and nothing after the call:
//
//	func TestMain(m *testing.M) { clustertest.Main(m) }
//
// Its tests may then say:
//
//	c := clustertest.New(t, clustertest.Options{Size: 3, TLS: true})
//	leader := c.WaitLeader(t, c.Members...)
//	leader.Kill(t)
//	leader.Start(t)                     // returns when it serves
//	c.Isolate(t, "m2")                  // cut off from the other members; c.Heal() mends it
//	client := c.Client(t)               // closed at the end of the test, as everything is
//	ctx := clustertest.Context(t, 10*time.Second)
//
// # Kinds
//
// KindEtcd is upstream's server inside the test binary, which is executed again. KindServe is the program under test,
// built with the go command. KindEtcd34 is Debian's etcd 3.4.23, an old and independent peer. Options.Kinds mixes them.
//
// # Addresses
//
// Each member has a loopback address of its own (127.x.y.z) and ports that are reserved from the making of the cluster to
// the end of the test, also while the member does not run: nothing races for them, and a client is refused, as by a host
// that is up. Its peer URL is that of a proxy (package network), so that the links between members can be cut. The client
// URL is the member's own, unless Options.ClientProxy asks for a proxy there too.
//
// # Clocks
//
// With Options.Skew the members are built with a patched package time, whose wall clock SetSkew shifts at any time;
// timers are not touched. The first such build compiles the standard library again, which the go command keeps.
//
// # Nothing stays behind
//
// All processes of a test run carry its name in their environment, and everything it writes is below one directory,
// which is TMPDIR for the tests too. A process beside the tests waits for the end of a pipe that only the test process
// holds open: when that dies, in whatever way, the kernel closes the pipe, and the reaper kills what carries the name and
// removes the directory. A test that starts programs of its own with another environment adds RunEnv to it.
//
// # Packages beside this one
//
//   - pki: certificates, good ones and every kind of bad one; imports nothing of etcd
//   - network: the proxies and their links
//   - ledger: workloads that prove that nothing was lost
//   - script: the command cluster for testscript files
//
// Everything here works without privileges. It is made for Linux; on other Unix systems clusters run, but tests that cut
// the network are skipped, and a killed test leaves its members behind.
package clustertest
