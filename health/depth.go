package health

import "fmt"

// Depth is how much is asked of the members. Each depth asks all that the one before it does.
type Depth int

// The depths.
const (
	DepthFast   Depth = iota // one connection a client URL: member list, status, two reads
	DepthNormal              // everything that is cheap: metrics and the handshakes of the peers too
	DepthDeep                // what costs the members time: hashes, and metrics twice over a window
)

func (Depth) names() [3]string { return [...]string{"fast", "normal", "deep"} }

// String returns the name used in JSON.
func (d Depth) String() string {
	names := d.names()
	if d < 0 || int(d) >= len(names) {
		return "fast"
	}
	return names[d]
}

// MarshalText implements encoding.TextMarshaler.
func (d Depth) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Depth) UnmarshalText(text []byte) error {
	for i, name := range d.names() {
		if name == string(text) {
			*d = Depth(i)
			return nil
		}
	}
	return fmt.Errorf("depth %q is none of %v", text, d.names())
}
