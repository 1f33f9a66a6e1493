// Package powercut gives tests a disk whose power can fail. It is there on Linux only.
package powercut
