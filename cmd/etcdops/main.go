// Command etcdops is the etcd datastore, its client, and the operations layer above both.
package main

import (
	"os"

	"github.com/etcdops/etcdops/cmd"
	_ "github.com/etcdops/etcdops/internal/latergc" // its init spares short commands a collection
)

func main() {
	os.Exit(cmd.Main(os.Args))
}
