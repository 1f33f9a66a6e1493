package cmd

import "github.com/spf13/cobra"

// helpGroup is a section of the help page: the commands in it, in order.
type helpGroup struct {
	id, title string
	commands  []string
}

// helpGroups sorts the first level of commands by what they are for. What is in none stands under "Additional".
func helpGroups() []helpGroup {
	return []helpGroup{
		{"datastore", "Datastore", []string{"serve"}},
		{"health", "Health", []string{"health", "status", "quorum", "clock", "explain"}},
		{"keys", "Keys", []string{"get", "put", "del", "txn", "watch", "lease", "compact", "make-mirror", "import"}},
		{"cluster", "Cluster", []string{"member", "endpoint", "move-leader", "alarm", "defrag", "snapshot", "downgrade", "check"}},
		{"recovery", "Recovery", []string{"recover", "rebuild-cluster", "backup", "inspect"}},
		{"concurrency", "Concurrency", []string{"lock", "elect"}},
		{"auth", "Authentication", []string{"auth", "user", "role"}},
		{"config", "Configuration", []string{"context", "config", "generate", "completion", "version", "help"}},
		{"upstream", "Upstream's programs", []string{"etcd", "ctl", "utl"}},
	}
}

// group puts the commands of the first level into their sections.
func group(root *cobra.Command) {
	byName := map[string]*cobra.Command{}
	for _, cmd := range root.Commands() {
		byName[cmd.Name()] = cmd
	}
	for _, g := range helpGroups() {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title + ":"})
		for _, name := range g.commands {
			if cmd := byName[name]; cmd != nil {
				cmd.GroupID = g.id
			}
		}
	}
	root.SetHelpCommandGroupID("config")
	root.SetCompletionCommandGroupID("config")
}
