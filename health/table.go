package health

import "slices"

// Checks returns the table of checks in the order in which they are reported.
func Checks() []Check {
	return slices.Concat(
		availabilityChecks(),
		leaderChecks(),
		identityChecks(),
		membershipChecks(),
		addressChecks(),
		certificateChecks(),
		raftChecks(),
		storageChecks(),
		versionChecks(),
		latencyChecks(),
		accessChecks(),
		upgradeChecks(),
		hashChecks(),
		progressChecks(),
		diskChecks(),
		peerChecks(),
		stabilityChecks(),
		loadChecks(),
		requestChecks(),
		localChecks(),
		clockChecks(),
	)
}
