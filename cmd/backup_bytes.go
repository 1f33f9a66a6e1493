package cmd

import (
	"fmt"
	"math"
	"strings"

	"github.com/dustin/go-humanize"
)

// parseBytes reads a number of bytes as people write it: 50MB, 64KiB, 1000.
func parseBytes(text string) (int64, error) {
	n, err := humanize.ParseBytes(strings.TrimSuffix(text, "/s"))
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("%q is no number of bytes; write 50MB or 64KiB", text)
	}
	return int64(n), nil
}
