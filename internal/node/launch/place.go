package launch

import "strings"

// Process is a process of this machine and how it was started.
type Process struct {
	PID    int
	Launch Launch // in a container: as seen there

	Unit      string // the systemd service that it is part of, "" for none
	Kubelet   bool   // it is in a container of the kubelet's
	Container bool   // it is in a container, whosever
}

// placeOf reads the text of /proc/PID/cgroup, of either version.
func placeOf(cgroups string) (unit string, kubelet, container bool) {
	for line := range strings.Lines(cgroups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 || parts[1] != "" && parts[1] != "name=systemd" {
			continue
		}
		for part := range strings.SplitSeq(parts[2], "/") {
			switch {
			case strings.HasPrefix(part, "kubepods"):
				kubelet, container = true, true
			case strings.HasPrefix(part, "docker") && part != "docker.service", strings.HasPrefix(part, "libpod"),
				strings.HasPrefix(part, "cri-containerd"), strings.HasPrefix(part, "crio-"), strings.HasPrefix(part, "machine-"):
				container = true
			case strings.HasSuffix(part, ".service") && !strings.HasPrefix(part, "user@"):
				unit = part
			}
		}
	}
	if container {
		unit = "" // that of the container's keeper at best
	}
	return unit, kubelet, container
}
