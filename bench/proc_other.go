//go:build !linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"time"
)

// ownGroup leaves the command as it is: it alone is killed when its context ends.
func ownGroup(*exec.Cmd) {}

// dieWithParent leaves the command as it is: only Linux offers this.
func dieWithParent(*exec.Cmd) {}

// peakOf is unknown.
func peakOf(*os.ProcessState) int64 { return 0 }

func usedCPU(int) (time.Duration, error) {
	return 0, errors.New("the processor time of others is measured on Linux only")
}

func residentMemory(int) (int64, error) {
	return 0, errors.New("resident memory is measured on Linux only")
}
