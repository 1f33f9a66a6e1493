package ops

import (
	"fmt"
	"strconv"
	"strings"
)

// MemberID identifies a member of a cluster; it is written in hexadecimal wherever people or JSON see it.
type MemberID uint64

// ClusterID identifies a cluster; it is written in hexadecimal wherever people or JSON see it.
type ClusterID uint64

// String returns the ID in hexadecimal without leading zeros, as etcdctl prints it.
func (id MemberID) String() string { return strconv.FormatUint(uint64(id), 16) }

// MarshalText implements encoding.TextMarshaler.
func (id MemberID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; it fails on what is not a hexadecimal number of 64 bits.
func (id *MemberID) UnmarshalText(text []byte) error {
	n, err := parseHex("member", string(text))
	*id = MemberID(n)
	return err
}

// ParseMemberID reads a member ID as people write it, with or without 0x.
func ParseMemberID(s string) (MemberID, error) {
	n, err := parseHex("member", s)
	return MemberID(n), err
}

// String returns the ID in hexadecimal without leading zeros.
func (id ClusterID) String() string { return strconv.FormatUint(uint64(id), 16) }

// MarshalText implements encoding.TextMarshaler.
func (id ClusterID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; it fails on what is not a hexadecimal number of 64 bits.
func (id *ClusterID) UnmarshalText(text []byte) error {
	n, err := parseHex("cluster", string(text))
	*id = ClusterID(n)
	return err
}

func parseHex(kind, s string) (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%s ID %q is not a hexadecimal number of at most 64 bits", kind, s)
	}
	return n, nil
}
