package launch

import (
	"io"
	"os"
	"strings"
)

// LastLines reads the end of a member's log, nothing when there is none: so much that the reason is among it when a stack
// trace follows.
func LastLines(path string) []string {
	const bytes, lines = 32 << 10, 100
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // only read
	if info, err := f.Stat(); err == nil && info.Size() > bytes {
		if _, err := f.Seek(-bytes, io.SeekEnd); err != nil {
			return nil
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, bytes))
	if err != nil {
		return nil
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return all[max(0, len(all)-lines):]
}
