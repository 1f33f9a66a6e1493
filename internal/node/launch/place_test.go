package launch

import "testing"

func TestPlaceOf(t *testing.T) {
	type place struct {
		unit               string
		kubelet, container bool
	}
	for cgroups, want := range map[string]place{
		"0::/system.slice/etcd-main.service\n":                   {unit: "etcd-main.service"},
		"0::/system.slice/k3s.service\n":                         {unit: "k3s.service"},
		"0::/\n":                                                 {},
		"0::/user.slice/user-0.slice/session-3.scope\n":          {},
		"0::/user.slice/user-0.slice/user@0.service/app.slice\n": {},
		"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1f.slice/cri-containerd-2a.scope\n": {kubelet: true, container: true},
		"12:cpu:/x.service\n1:name=systemd:/kubepods/burstable/pod1f/2a\n":                                     {kubelet: true, container: true},
		"0::/system.slice/docker-1f.scope\n":                                                                   {container: true},
		"1:name=systemd:/docker/1f\n":                                                                          {container: true},
		"0::/system.slice/containerd.service/kubepods-burstable-pod1f.slice:cri-containerd:2a\n":               {kubelet: true, container: true},
		"12:cpu:/a.service\n1:name=systemd:/system.slice/etcd.service\n":                                       {unit: "etcd.service"},
	} {
		var got place
		got.unit, got.kubelet, got.container = placeOf(cgroups)
		if got != want {
			t.Errorf("%s: %+v, want %+v", cgroups, got, want)
		}
	}
}
