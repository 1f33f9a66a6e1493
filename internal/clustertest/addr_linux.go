package clustertest

import (
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// bindPort binds a free port without listening. With SO_REUSEADDR on both sides a server that asks for this very port
// gets it, while the kernel gives it to nobody who asks for any port: there is no race, and no time to release it.
func bindPort(host string) (addr string, release func(), err error) {
	ip := net.ParseIP(host).To4()
	if ip == nil {
		return "", nil, fmt.Errorf("%s is no IPv4 address", host)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	release = func() { _ = unix.Close(fd) }
	port, err := bind(fd, [4]byte(ip))
	if err != nil {
		release()
		return "", nil, err
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), release, nil
}

// bind gives the socket a port on ip and returns it.
func bind(fd int, ip [4]byte) (port int, err error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: ip}); err != nil {
		return 0, err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	inet, ok := bound.(*unix.SockaddrInet4)
	if !ok {
		return 0, fmt.Errorf("bound to %T", bound)
	}
	return inet.Port, nil
}
