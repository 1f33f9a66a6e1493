// Command etcdops is the etcd datastore, its client, and the operations layer above both.
package main

import (
	"os"

	"github.com/etcdops/etcdops/cmd"
)

func main() {
	os.Exit(cmd.Main(os.Args))
}
