package ops_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/etcdops/etcdops/ops"
)

// TestStartConfig writes the start of new members in every form. A line of a scenario is a member of the list: NAME (- for
// one that never started) and its peer URLs; the last one is new.
func TestStartConfig(t *testing.T) {
	t.Parallel()
	datadriven.RunTest(t, "testdata/startconfig", func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		var list ops.Membership
		for i, line := range strings.Split(d.Input, "\n") {
			words := strings.Fields(line)
			list.Members = append(list.Members, ops.Member{ID: ops.MemberID(0xa01 + i), Name: strings.TrimPrefix(words[0], "-"), PeerURLs: words[1:]})
		}
		opts := ops.StartOptions{Name: "new"}
		for _, arg := range d.CmdArgs {
			switch arg.Key {
			case "name":
				opts.Name = arg.Vals[0]
			case "data-dir":
				opts.DataDir = arg.Vals[0]
			default:
				opts.Files = append(opts.Files, ops.StartSetting{Name: arg.Key, Value: arg.Vals[0]})
			}
		}
		c, err := ops.StartConfigFor(list, list.Members[len(list.Members)-1].ID, opts)
		if err != nil {
			return err.Error() + "\n"
		}
		return fmt.Sprintf("flags\n%s\nvariables\n%s\nfile\n%s\nsystemd\n%s\nstatic pod\n%s\nnotes\n%s\n", strings.Join(c.Flags(), "\n"),
			strings.Join(c.Environment(), "\n"), c.YAML(), c.SystemdDropIn(), c.StaticPod(), strings.Join(c.Notes, "\n"))
	})
	if _, err := ops.StartConfigFor(ops.Membership{}, 1, ops.StartOptions{}); err == nil {
		t.Error("a member that is not listed has a start configuration")
	}
}
