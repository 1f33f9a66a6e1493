package recovery

import (
	"context"
	"io/fs"

	"github.com/etcdops/etcdops/ops"
)

// Node is the machine of one member: everything that recovery does there. All methods may be repeated: each looks first,
// and does nothing where its effect is there already. Errors say what a person can do on the machine.
//
// Drivers implement it (internal/node); the suite internal/node/nodetest says what each must hold.
type Node interface {
	// Survey reads how the member is started and where its files are. It changes nothing.
	Survey(ctx context.Context) (Survey, error)
	// Status looks whether the member runs and what is in its directories now. It changes nothing.
	Status(ctx context.Context) (NodeStatus, error)
	// Stop ends the member and returns when its process is gone.
	Stop(ctx context.Context) error
	// Mask keeps the member from being started by anything but Start after Unmask, also across a reboot where the
	// service manager can do that.
	Mask(ctx context.Context) error
	// Unmask takes Mask back; it does not start the member.
	Unmask(ctx context.Context) error
	// SetAside renames the member's data directory, and a separate WAL directory, out of the way under a name that ends
	// in label, and leaves empty ones of the same owner and mode in their place. The member must not run. The result
	// names all directories set aside under label, also those of an earlier call.
	SetAside(ctx context.Context, label string) ([]Aside, error)
	// PutBack takes SetAside back. It refuses when a directory that stands in the place is not empty.
	PutBack(ctx context.Context, label string) error
	// Discard removes what SetAside put under label, for good.
	Discard(ctx context.Context, label string) error
	// Configure makes the settings those of the next starts. The user's own files stay as they are, or are kept beside.
	Configure(ctx context.Context, settings []Setting) error
	// Start starts the member and returns when its process runs; whether it serves is seen from outside.
	Start(ctx context.Context) error
}

// Survey is how a member is started, as its node knows it. It round-trips through JSON.
type Survey struct {
	Driver   string    `json:"driver"`   // "systemd", "static pod", ...
	Why      string    `json:"why"`      // how it was found: a sentence for people
	Host     string    `json:"host"`     // the machine's own name
	Name     string    `json:"name"`     // of the member, as it is started
	Version  string    `json:"version"`  // of the member's program, "" when it cannot be told
	Program  string    `json:"program"`  // path of an etcd program that the member is started with; "" when it is none or not known
	Settings []Setting `json:"settings"` // those that matter for joining, as they are now
	Dirs     []Dir     `json:"dirs"`     // the data directory first, then a separate WAL directory
	Files    []string  `json:"files"`    // that Configure would write
	Manual   bool      `json:"manual"`   // a person does what the driver asks for
}

// Setting returns a setting's value, "" when it has none.
func (s Survey) Setting(name string) string {
	for _, set := range s.Settings {
		if set.Name == name {
			return set.Value
		}
	}
	return ""
}

// Setting is one setting of etcd by its flag's name, such as "initial-cluster-state".
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Dir is one directory of a member.
type Dir struct {
	Path  string      `json:"path"`
	Mode  fs.FileMode `json:"mode"`
	UID   int         `json:"uid"`
	GID   int         `json:"gid"`
	Mount bool        `json:"mount"` // the top of a file system: its contents are moved, not itself
	Bytes int64       `json:"bytes"` // of the files in it
	Free  int64       `json:"free"`  // bytes that its file system has left
	Empty bool        `json:"empty"` // it is absent, or holds nothing
}

// NodeStatus is what a node sees of its member at one moment.
type NodeStatus struct {
	Known     bool          `json:"known"` // false where only a person can see it: nothing below is said then
	Running   bool          `json:"running"`
	PID       int           `json:"pid"` // 0 when it does not run, or has no process id to show
	Masked    bool          `json:"masked"`
	Bytes     int64         `json:"bytes"`      // in all its directories
	Free      int64         `json:"free"`       // bytes left where the data directory is
	Empty     bool          `json:"empty"`      // its directories hold nothing
	Detached  bool          `json:"detached"`   // it runs on files that are not in its directory (any more)
	MemberID  ops.MemberID  `json:"member_id"`  // that the data belong to; 0 when that cannot be told
	ClusterID ops.ClusterID `json:"cluster_id"` // likewise
	LastLog   []string      `json:"last_log"`   // the member's last words, for errors
}

// Aside is a directory that was set aside.
type Aside struct {
	Original string `json:"original"`
	Path     string `json:"path"` // where its contents are now
	Bytes    int64  `json:"bytes"`
}
