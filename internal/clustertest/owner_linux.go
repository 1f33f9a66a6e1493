package clustertest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// owns reports whether process pid holds the socket of that inode.
func owns(pid int, inode uint64) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	want := fmt.Sprintf("socket:[%d]", inode)
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil && target == want {
			return true
		}
	}
	return false
}

// ownedByMemberOn reports whether the socket belongs to a process that was started on that data directory.
func ownedByMemberOn(dataDir string, inode uint64) bool {
	for _, pid := range pids() {
		args, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err == nil && bytes.Contains(args, []byte("--data-dir="+dataDir+"\x00")) && owns(pid, inode) {
			return true
		}
	}
	return false
}

// callerInode finds the socket at the other end of a connection that came from this machine; 0 if it is gone.
func callerInode(conn net.Conn) uint64 {
	caller, okCaller := conn.RemoteAddr().(*net.TCPAddr)
	here, okHere := conn.LocalAddr().(*net.TCPAddr)
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil || !okCaller || !okHere {
		return 0
	}
	return inodeOf(table, procAddr(caller.AddrPort()), procAddr(here.AddrPort()))
}

// inodeOf looks a connection up in the text of /proc/net/tcp. Columns: number, local, remote, state, queues, timer,
// retransmissions, uid, timeout, inode.
func inodeOf(table []byte, local, remote string) uint64 {
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		columns := strings.Fields(lines.Text())
		if len(columns) < 10 || columns[1] != local || columns[2] != remote {
			continue
		}
		inode, err := strconv.ParseUint(columns[9], 10, 64)
		if err != nil {
			return 0
		}
		return inode
	}
	return 0
}

// procAddr writes an IPv4 address as /proc/net/tcp does: the address in the machine's byte order.
func procAddr(addr netip.AddrPort) string {
	ip := addr.Addr().Unmap().As4()
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip[:]), addr.Port())
}
