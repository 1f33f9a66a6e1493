package cmd

import "testing"

// TestReleasedImage sees that only a release names an image.
func TestReleasedImage(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": publishedImage + ":1.2.3", "1.2.3": publishedImage + ":1.2.3",
		"": "", "unknown": "", "209ff9d": "", "v1.2.3-4-g209ff9d-dirty": "", "0.0.1-snapshot+1d87eff": "", "v2.0.0-rc.1": "",
	} {
		if got := releasedImage(version); got != want {
			t.Errorf("%s: got %q, want %q", version, got, want)
		}
	}
}
